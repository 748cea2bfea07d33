//! What the gate asks, answered by the learner: one side of a comparison. What is wrong with one item costs that item.

use std::{collections::BTreeSet, ops::ControlFlow};

use perennial_gate::{Answer, Item, Judge, JudgeError, Judged, Likelihood, Unjudged};
use perennial_learn::{
    adapter::Adapter,
    generate::{self, Finish, GenerateOptions},
    model::Model,
    tokenize::Encoded,
};
use perennial_reward::{Completion, FaultKind, Member, Outcome, Panel, Statistics};

use crate::{
    ports::Stop,
    rewards::{Plugins, prompts},
    telemetry::{ItemsJudged, RewardsGiven, Telemetry},
};

/// The base model with an adapter, or without one.
pub(crate) struct ModelJudge<'a> {
    /// The base.
    pub(crate) model: &'a Model,
    /// The adapter; `None` is the base alone.
    pub(crate) adapter: Option<&'a Adapter>,
    /// Who judges the answers to suites with the metric reward; `None` where there are no plugins.
    pub(crate) plugins: Option<&'a Plugins>,
    /// Longer bodies are scored up to here, in tokens.
    pub(crate) length_max: usize,
    /// Told where the work is to stop.
    pub(crate) stop: &'a Stop,
    /// Told how far it is.
    pub(crate) telemetry: &'a Telemetry,
    /// The items that it is asked in all, over all suites.
    pub(crate) items: u64,
    /// Those of the suites that it is through with.
    pub(crate) judged: u64,
}

/// The work was told to stop in the middle of a suite.
#[derive(Debug, thiserror::Error)]
#[error("told to stop")]
pub(crate) struct Interrupted;

/// How many bodies are scored between two looks at the stop flag.
const BODIES_PER_LOOK: usize = 16;

/// After so many time-outs of a plugin in one suite its other items are not asked: each costs the whole deadline.
const TIMEOUTS_MAX: usize = 20;

impl Judge for ModelJudge<'_> {
    fn answer(&mut self, items: &[&Item], max_new_tokens: usize) -> Result<Vec<Judged<Answer>>, JudgeError> {
        let prompts: Vec<Judged<Vec<u32>>> = items.iter().map(|item| self.prompt(item)).collect();
        let asked: Vec<Vec<u32>> = prompts.iter().flatten().cloned().collect();
        let options = GenerateOptions { max_new_tokens, ..GenerateOptions::default() };
        let mut begun = BTreeSet::new();
        let completions = generate::generate(self.model, self.adapter, &asked, &options, &mut |prompt, _| {
            self.telemetry.beat();
            if begun.insert(prompt) {
                self.tell(begun.len());
            }
            if self.stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if self.stop.is_set() {
            return Err(Interrupted.into());
        }
        let mut answers = completions
            .into_iter()
            .map(|completion| Answer { cut: completion.finish == Finish::Length, text: completion.text });
        let answer = |prompt: Judged<Vec<u32>>| {
            prompt.and_then(|_| answers.next().ok_or_else(|| Unjudged::lasting("no answer came back")))
        };
        self.judged += items.len() as u64;
        Ok(prompts.into_iter().map(answer).collect())
    }

    fn negative_log_likelihood(&mut self, items: &[&Item]) -> Result<Vec<Judged<Likelihood>>, JudgeError> {
        let mut likelihoods = Vec::with_capacity(items.len());
        let all = items.len() as u64;
        for items in items.chunks(BODIES_PER_LOOK) {
            if self.stop.is_set() {
                return Err(Interrupted.into());
            }
            self.telemetry.beat();
            let encoded: Vec<Judged<Encoded>> = items.iter().map(|item| self.encode(item)).collect();
            let with_targets: Vec<Encoded> = encoded.iter().flatten().cloned().collect();
            let mut scores = generate::score(self.model, self.adapter, &with_targets)?.into_iter();
            likelihoods.extend(encoded.into_iter().map(|encoded| {
                let scored = encoded.and_then(|_| scores.next().ok_or_else(|| Unjudged::lasting("no score came back")));
                scored.map(|scored| Likelihood { nll_sum: scored.nll_sum, tokens: scored.tokens })
            }));
            self.tell(likelihoods.len());
        }
        self.judged += all;
        Ok(likelihoods)
    }

    fn rewards(&mut self, plugin: &str, answered: &[(&Item, &str)]) -> Result<Vec<Judged<f64>>, JudgeError> {
        let judge = self.plugins.and_then(|plugins| plugins.named(plugin));
        let judge = judge.ok_or_else(|| format!("there is no reward plugin {plugin:?}"))?;
        let panel = Panel { members: vec![Member::new(judge.clone(), 1.0)] };
        let (mut judged, mut statistics, mut timeouts) = (Vec::new(), Statistics::default(), 0);
        for (item, answer) in answered {
            if self.stop.is_set() {
                return Err(Interrupted.into());
            }
            self.telemetry.beat();
            if timeouts == TIMEOUTS_MAX {
                let reason = format!("not asked, after {TIMEOUTS_MAX} time-outs of the plugin in this suite");
                judged.push(Err(Unjudged { reason, passing: true }));
                continue;
            }
            let reference = Some(item.reference.clone()).filter(|reference| !reference.is_empty());
            let mut task = prompts::task(&item.question, reference, Vec::new(), item.metadata.clone());
            task.samples = vec![Completion { id: item.id.clone(), text: (*answer).to_owned() }];
            let verdict = panel.score(&task);
            statistics.add(&panel, &verdict);
            let outcome = verdict.per_member.first().and_then(|scoring| scoring.outcomes.first());
            timeouts += usize::from(matches!(outcome, Some(Outcome::TimedOut(_))));
            judged.push(outcome.map_or_else(|| Err(Unjudged::lasting("no verdict came back")), reward));
        }
        self.telemetry.emit(RewardsGiven { statistics: &statistics });
        Ok(judged)
    }
}

impl ModelJudge<'_> {
    /// How far it is, with so many items of the present suite.
    fn tell(&self, of_suite: usize) {
        let done = (self.judged + of_suite as u64).min(self.items);
        self.telemetry.emit(ItemsJudged { done, items: self.items });
    }

    /// The tokens that an answer goes on from.
    fn prompt(&self, item: &Item) -> Judged<Vec<u32>> {
        let tokens = self.model.encode_prompt(&item.question);
        let tokens = tokens.map_err(|error| Unjudged::lasting(error.to_string()))?;
        if tokens.is_empty() {
            return Err(Unjudged::lasting("its question has no tokens"));
        }
        let positions_max = self.model.config.positions_max;
        if tokens.len() >= positions_max {
            return Err(Unjudged::lasting(format!(
                "its question of {} tokens leaves no room for an answer in the model's context of {positions_max}",
                tokens.len()
            )));
        }
        Ok(tokens)
    }

    fn encode(&self, item: &Item) -> Judged<Encoded> {
        let encoded = self.model.encode(&item.body, self.length_max);
        encoded.map_err(|error| Unjudged::lasting(error.to_string()))
    }
}

/// A plugin's word on one answer. Only what the plugin would say again is lasting.
fn reward(outcome: &Outcome) -> Judged<f64> {
    let passing = match outcome {
        Outcome::Scored(score) => return Ok(score.reward),
        Outcome::Abstained(_) => false,
        Outcome::Faulted(fault) => fault.kind == FaultKind::Host,
        Outcome::TimedOut(_) => true,
    };
    let reason =
        format!("the plugin {}: {}", outcome.kind().as_str().replace('_', " "), outcome.message().unwrap_or(""));
    Err(Unjudged { reason, passing })
}

#[cfg(test)]
mod tests {
    use perennial_reward::{Fault, Score};

    use super::*;

    #[test]
    fn what_a_clock_or_the_host_decided_is_passing_and_the_rest_lasts() {
        let score = Score { reward: 0.5, parts: vec![], reason: None };
        assert_eq!(reward(&Outcome::Scored(score)), Ok(0.5));
        let fault = |kind| Outcome::Faulted(Fault { kind, message: "gone wrong".to_owned() });
        let passing = |outcome: &Outcome| reward(outcome).unwrap_err().passing;
        assert!(passing(&Outcome::TimedOut("after 30 s".to_owned())) && passing(&fault(FaultKind::Host)));
        assert!(!passing(&Outcome::Abstained("no opinion".to_owned())) && !passing(&fault(FaultKind::OutOfFuel)));
        let said = reward(&Outcome::TimedOut("after 30 s".to_owned())).unwrap_err().reason;
        assert_eq!(said, "the plugin timed out: after 30 s");
    }
}
