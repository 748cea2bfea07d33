//! What the gate asks, answered by the learner: one side of a comparison.

use std::ops::ControlFlow;

use perennial_gate::{Judge, JudgeError, Likelihood};
use perennial_learn::{
    adapter::Adapter,
    generate::{self, GenerateOptions},
    model::Model,
    tokenize::{self, EncodeError, Encoded},
};
use perennial_types::{Body, Content};
use tracing::warn;

use crate::{ports::Stop, telemetry::Telemetry};

/// The base model with an adapter, or without one.
pub(crate) struct ModelJudge<'a> {
    /// The base.
    pub(crate) model: &'a Model,
    /// The adapter; `None` is the base alone.
    pub(crate) adapter: Option<&'a Adapter>,
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
    fn answer(&mut self, questions: &[&Content], max_new_tokens: usize) -> Result<Vec<String>, JudgeError> {
        let Model { tokenizer, template, config, .. } = self.model;
        let prompt = |question: &&Content| lenient(tokenize::encode_prompt(question, tokenizer, template));
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
        Err(error @ (EncodeError::NoChatTemplate | EncodeError::Tokenizer(_))) => Err(error),
        Err(_) => Ok(None),
    }
}
