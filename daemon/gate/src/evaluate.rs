use std::error::Error;

use perennial_types::{Body, Content, Fingerprint};
use serde::{Deserialize, Serialize};

use crate::{Measure, Suite, metric::perplexity};

/// Whatever keeps a [`Judge`] from answering. Any error converts into it with `?`.
pub type JudgeError = Box<dyn Error + Send + Sync>;

/// The likelihood of one body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// The negative log-likelihood of all scored tokens, in nats.
    pub nll_sum: f64,
    /// The scored tokens; 0 where the body was too long to leave any.
    pub tokens: usize,
}

/// One side of the comparison: a model with the champion's adapter, the candidate's, or none. Answers must be greedy or
/// seeded, so that the same judge answers the same twice.
pub trait Judge {
    /// One answer per question, in their order, each of at most `max_new_tokens` tokens.
    ///
    /// # Errors
    /// Where the model fails or the work is to stop.
    fn answer(&mut self, questions: &[&Content], max_new_tokens: usize) -> Result<Vec<String>, JudgeError>;

    /// The likelihood of what is trained on in each body, in their order.
    ///
    /// # Errors
    /// Where the model fails or the work is to stop.
    fn negative_log_likelihood(&mut self, bodies: &[&Body]) -> Result<Vec<Likelihood>, JudgeError>;
}

/// How one side did on one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemScore {
    /// Higher is better; `None` where the item could not be scored (perplexity of a body without scored tokens).
    pub score: Option<f64>,
    /// What was answered; `None` where the metric is a likelihood.
    pub answer: Option<String>,
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
        /// The suite.
        suite: String,
        /// The judge's reason.
        source: JudgeError,
    },
    /// The judge lost or invented an answer.
    #[error("suite {suite}: {items} items went in, {answers} answers came back")]
    Count {
        /// The suite.
        suite: String,
        /// The items asked.
        items: usize,
        /// The answers given.
        answers: usize,
    },
}

/// Asks one side all items of a suite.
///
/// # Errors
/// Where the judge fails or gives another number of answers than it was asked for.
pub fn evaluate(suite: &Suite, judge: &mut dyn Judge) -> Result<SuiteScores, EvaluateError> {
    let failed = |source| EvaluateError::Judge { suite: suite.name.clone(), source };
    let items: Vec<ItemScore> = match suite.metric.measure() {
        Measure::Answer(score) => {
            let questions: Vec<&Content> = suite.items.iter().map(|item| &item.question).collect();
            let answers = judge.answer(&questions, suite.max_new_tokens).map_err(failed)?;
            check_count(suite, answers.len())?;
            let scored = suite.items.iter().zip(answers);
            scored
                .map(|(item, answer)| ItemScore { score: Some(score(&answer, &item.reference)), answer: Some(answer) })
                .collect()
        }
        Measure::Likelihood => {
            let bodies: Vec<&Body> = suite.items.iter().map(|item| &item.body).collect();
            let likelihoods = judge.negative_log_likelihood(&bodies).map_err(failed)?;
            check_count(suite, likelihoods.len())?;
            let score = |likelihood: &Likelihood| perplexity::score(likelihood.nll_sum, likelihood.tokens);
            likelihoods.iter().map(|likelihood| ItemScore { score: score(likelihood), answer: None }).collect()
        }
    };
    Ok(SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items })
}

fn check_count(suite: &Suite, answers: usize) -> Result<(), EvaluateError> {
    let items = suite.items.len();
    if answers == items {
        return Ok(());
    }
    Err(EvaluateError::Count { suite: suite.name.clone(), items, answers })
}
