use std::error::Error;

use perennial_types::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::{Item, Measure, Suite, metric::perplexity};

#[cfg(test)]
mod tests;

/// Whatever keeps a [`Judge`] from answering. Any error converts into it with `?`.
pub type JudgeError = Box<dyn Error + Send + Sync>;

/// The likelihood of one body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// The negative log-likelihood of all scored tokens, in nats.
    pub nll_sum: f64,
    /// The scored tokens.
    pub tokens: usize,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the model answered, without the token that ended it.
    pub text: String,
    /// Whether it was cut off at its limit of tokens.
    pub cut: bool,
}

/// Why one item could not be judged. It is a matter of that item: nothing else is kept from being judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unjudged {
    /// What was wrong.
    pub reason: String,
    /// Whether it may be otherwise the next time, as with a time-out: such a finding is not to be kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passing: bool,
}

impl Unjudged {
    /// A finding that would be the same again.
    pub fn lasting(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), passing: false }
    }
}

/// What came of asking one item.
pub type Judged<T> = Result<T, Unjudged>;

/// One side of the comparison: a model with the champion's adapter, the candidate's, or none. Answers must be greedy or
/// seeded, so that the same judge answers the same twice.
pub trait Judge {
    /// One answer per item, in their order, each of at most `max_new_tokens` tokens.
    ///
    /// # Errors
    /// Where the model fails or the work is to stop.
    fn answer(&mut self, items: &[&Item], max_new_tokens: usize) -> Result<Vec<Judged<Answer>>, JudgeError>;

    /// The likelihood of what is trained on in each item's body, in their order.
    ///
    /// # Errors
    /// Where the model fails or the work is to stop.
    fn negative_log_likelihood(&mut self, items: &[&Item]) -> Result<Vec<Judged<Likelihood>>, JudgeError>;

    /// The verdict of a reward plugin on each answer, in their order.
    ///
    /// # Errors
    /// Where there is no such plugin, or the work is to stop.
    fn rewards(&mut self, plugin: &str, answered: &[(&Item, &str)]) -> Result<Vec<Judged<f64>>, JudgeError>;
}

/// How one side did on one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemScore {
    /// Higher is better; `None` where the item could not be judged.
    pub score: Option<f64>,
    /// The tokens that a likelihood is of; `None` where the metric is of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// What was answered; `None` where the metric is a likelihood.
    pub answer: Option<String>,
    /// Whether the answer was cut off at its limit of tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// Why there is no score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unjudged: Option<Unjudged>,
    /// Whether it was not asked, since what was asked before was enough to tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unasked: bool,
}

impl ItemScore {
    /// Of an item that was not asked.
    pub fn unasked() -> Self {
        Self { score: None, tokens: None, answer: None, cut: false, unjudged: None, unasked: true }
    }

    fn of_answer(answer: Judged<Answer>, score: impl FnOnce(&str) -> Judged<f64>) -> Self {
        match answer {
            Ok(Answer { text, cut }) => {
                let (score, unjudged) = split(score(&text));
                Self { score, tokens: None, answer: Some(text), cut, unjudged, unasked: false }
            }
            Err(unjudged) => {
                let unjudged = Some(unjudged);
                Self { score: None, tokens: None, answer: None, cut: false, unjudged, unasked: false }
            }
        }
    }

    fn of_likelihood(likelihood: Judged<Likelihood>) -> Self {
        let scored = likelihood.and_then(|Likelihood { nll_sum, tokens }| {
            let score = perplexity::score(nll_sum, tokens);
            score.map(|score| (score, tokens)).ok_or_else(|| Unjudged::lasting("no token of it is scored"))
        });
        let (scored, unjudged) = split(scored);
        let (score, tokens) = scored.unzip();
        Self { score, tokens, answer: None, cut: false, unjudged, unasked: false }
    }
}

fn split<T>(judged: Judged<T>) -> (Option<T>, Option<Unjudged>) {
    match judged {
        Ok(value) => (Some(value), None),
        Err(unjudged) => (None, Some(unjudged)),
    }
}

/// How one side did on a suite, item by item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteScores {
    /// The suite's name.
    pub suite: String,
    /// The suite's fingerprint: scores of different items are never compared.
    pub fingerprint: Fingerprint,
    /// One entry per item, in the suite's order.
    pub items: Vec<ItemScore>,
}

/// Why a suite could not be scored.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The judge failed.
    #[error("suite {suite}: {source}")]
    Judge {
        /// By its name.
        suite: String,
        /// The judge's reason.
        source: JudgeError,
    },
    /// The judge lost or invented an answer.
    #[error("suite {suite}: {items} items went in, {answers} answers came back")]
    Count {
        /// By its name.
        suite: String,
        /// The items asked.
        items: usize,
        /// The answers given.
        answers: usize,
    },
}

/// Asks one side some of a suite's items: those that it was not asked before. The scores come in the order of the items.
///
/// # Errors
/// Where the judge fails or gives another number of answers than it was asked for.
pub fn evaluate_items(suite: &Suite, items: &[&Item], judge: &mut dyn Judge) -> Result<Vec<ItemScore>, EvaluateError> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |source| EvaluateError::Judge { suite: suite.name.clone(), source };
    match suite.metric.measure() {
        Measure::Answer(score) => {
            let answers = judge.answer(items, suite.max_new_tokens).map_err(failed)?;
            check_count(suite, items, answers.len())?;
            let scored = items.iter().zip(answers);
            Ok(scored
                .map(|(item, answer)| ItemScore::of_answer(answer, |text| Ok(score(text, &item.reference))))
                .collect())
        }
        Measure::Verdict => {
            let answers = judge.answer(items, suite.max_new_tokens).map_err(failed)?;
            check_count(suite, items, answers.len())?;
            let plugin = suite.reward.as_ref().map_or("", |reward| &reward.plugin);
            let answered = items.iter().zip(&answers);
            let answered: Vec<(&Item, &str)> =
                answered.filter_map(|(item, answer)| Some((*item, answer.as_ref().ok()?.text.as_str()))).collect();
            let rewards = judge.rewards(plugin, &answered).map_err(failed)?;
            check_count(suite, &answered, rewards.len())?;
            let mut rewards = rewards.into_iter();
            let none = || Err(Unjudged::lasting("no verdict came back"));
            Ok(answers
                .into_iter()
                .map(|answer| ItemScore::of_answer(answer, |_| rewards.next().unwrap_or_else(none)))
                .collect())
        }
        Measure::Likelihood => {
            let likelihoods = judge.negative_log_likelihood(items).map_err(failed)?;
            check_count(suite, items, likelihoods.len())?;
            Ok(likelihoods.into_iter().map(ItemScore::of_likelihood).collect())
        }
    }
}

fn check_count<T>(suite: &Suite, asked: &[T], answers: usize) -> Result<(), EvaluateError> {
    let items = asked.len();
    if answers == items {
        return Ok(());
    }
    Err(EvaluateError::Count { suite: suite.name.clone(), items, answers })
}
