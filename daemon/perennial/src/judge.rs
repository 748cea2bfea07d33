//! What the gate asks, answered by the learner: one side of a comparison.

use std::ops::ControlFlow;

use perennial_gate::{Item, Judge, JudgeError, Likelihood};
use perennial_learn::{
    adapter::Adapter,
    generate::{self, GenerateOptions},
    model::Model,
    tokenize::{self, EncodeError, Encoded},
};
use perennial_reward::{Completion, Member, Panel, Statistics, check_fault_ratio};
use perennial_types::{Body, Prompt};
use tracing::warn;

use crate::{
    ports::Stop,
    rewards::{Plugins, prompts},
    telemetry::{RewardsGiven, Telemetry},
};

/// The base model with an adapter, or without one.
pub(crate) struct ModelJudge<'a> {
    /// The base.
    pub(crate) model: &'a Model,
    /// The adapter; `None` is the base alone.
    pub(crate) adapter: Option<&'a Adapter>,
    /// Who judges the answers to suites with the metric reward; `None` where there are no plugins.
    pub(crate) plugins: Option<&'a Plugins>,
    /// The share of a plugin's calls that may fail.
    pub(crate) max_fault_ratio: f64,
    /// Longer bodies are scored up to here, in tokens.
    pub(crate) length_max: usize,
    /// Told where the work is to stop.
    pub(crate) stop: &'a Stop,
    /// Told that it goes on.
    pub(crate) telemetry: &'a Telemetry,
}

/// The work was told to stop in the middle of a suite.
#[derive(Debug, thiserror::Error)]
#[error("told to stop")]
pub(crate) struct Interrupted;

/// How many bodies are scored between two looks at the stop flag.
const BODIES_PER_LOOK: usize = 16;

impl Judge for ModelJudge<'_> {
    fn answer(&mut self, questions: &[&Prompt], max_new_tokens: usize) -> Result<Vec<String>, JudgeError> {
        let Model { tokenizer, template, config, .. } = self.model;
        let prompt = |question: &&Prompt| lenient(tokenize::encode_prompt(question, tokenizer, template));
        let prompts = questions.iter().map(prompt).collect::<Result<Vec<_>, _>>()?;
        // A question that fills the context leaves no room for an answer, on either side.
        let fits = |prompt: &Vec<u32>| !prompt.is_empty() && prompt.len() < config.positions_max;
        let (at, asked): (Vec<usize>, Vec<Vec<u32>>) =
            prompts.into_iter().enumerate().filter_map(|(at, prompt)| Some((at, prompt.filter(fits)?))).unzip();
        if asked.len() < questions.len() {
            let questions = questions.len() - asked.len();
            warn!(questions, "questions that the template refuses or that fill the context count as unanswered");
        }
        let options = GenerateOptions { max_new_tokens, ..GenerateOptions::default() };
        let completions = generate::generate(self.model, self.adapter, &asked, &options, &mut |_, _| {
            self.telemetry.beat();
            if self.stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if self.stop.is_set() {
            return Err(Interrupted.into());
        }
        let mut answers = vec![String::new(); questions.len()];
        for (at, completion) in at.into_iter().zip(completions) {
            if let Some(answer) = answers.get_mut(at) {
                *answer = completion.text;
            }
        }
        Ok(answers)
    }

    fn negative_log_likelihood(&mut self, bodies: &[&Body]) -> Result<Vec<Likelihood>, JudgeError> {
        let mut likelihoods = Vec::with_capacity(bodies.len());
        for bodies in bodies.chunks(BODIES_PER_LOOK) {
            if self.stop.is_set() {
                return Err(Interrupted.into());
            }
            self.telemetry.beat();
            let encoded = bodies.iter().map(|body| self.encode(body)).collect::<Result<Vec<_>, _>>()?;
            let with_targets: Vec<Encoded> = encoded.iter().flatten().cloned().collect();
            let mut scores = generate::score(self.model, self.adapter, &with_targets)?.into_iter();
            let none = Likelihood { nll_sum: 0.0, tokens: 0 };
            likelihoods.extend(encoded.iter().map(|encoded| {
                let scored = encoded.as_ref().and_then(|_| scores.next());
                scored.map_or(none, |scored| Likelihood { nll_sum: scored.nll_sum, tokens: scored.tokens })
            }));
        }
        Ok(likelihoods)
    }

    fn rewards(&mut self, plugin: &str, answered: &[(&Item, &str)]) -> Result<Vec<Option<f64>>, JudgeError> {
        let judge = self.plugins.and_then(|plugins| plugins.named(plugin));
        let judge = judge.ok_or_else(|| format!("there is no reward plugin {plugin:?}"))?;
        let panel = Panel { members: vec![Member { plugin: judge.clone(), weight: 1.0 }] };
        let (mut judged, mut statistics) = (Vec::with_capacity(answered.len()), Statistics::default());
        for (item, answer) in answered {
            if self.stop.is_set() {
                return Err(Interrupted.into());
            }
            self.telemetry.beat();
            let reference = Some(item.reference.clone()).filter(|reference| !reference.is_empty());
            let mut task = prompts::task(&item.question, reference, Vec::new(), item.metadata.clone());
            task.samples = vec![Completion { id: item.id.clone(), text: (*answer).to_owned() }];
            let verdict = panel.score(&task);
            statistics.add(&panel, &verdict);
            judged.push((task, verdict));
        }
        self.telemetry.emit(RewardsGiven { statistics: &statistics });
        let groups: Vec<_> = judged.iter().map(|(task, verdict)| (task, verdict)).collect();
        check_fault_ratio(&panel, &groups, self.max_fault_ratio)?;
        Ok(judged.into_iter().map(|(_, verdict)| verdict.rewards.first().copied().flatten()).collect())
    }
}

impl ModelJudge<'_> {
    fn encode(&self, body: &Body) -> Result<Option<Encoded>, EncodeError> {
        let Model { tokenizer, template, .. } = self.model;
        lenient(tokenize::encode(body, tokenizer, template, self.length_max))
    }
}

/// `None` for what is wrong with one item, which both sides then leave out; an error for what is wrong with the model.
fn lenient<T>(encoded: Result<T, EncodeError>) -> Result<Option<T>, EncodeError> {
    match encoded {
        Ok(encoded) => Ok(Some(encoded)),
        Err(error) if error.is_of_the_model() => Err(error),
        Err(_) => Ok(None),
    }
}
