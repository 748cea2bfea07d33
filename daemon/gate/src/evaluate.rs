use std::error::Error;

use perennial_types::{Body, Fingerprint, Prompt};
use serde::{Deserialize, Serialize};

use crate::{Item, Measure, Suite, metric::perplexity};

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
    fn answer(&mut self, questions: &[&Prompt], max_new_tokens: usize) -> Result<Vec<String>, JudgeError>;

    /// The likelihood of what is trained on in each body, in their order.
    ///
    /// # Errors
    /// Where the model fails or the work is to stop.
    fn negative_log_likelihood(&mut self, bodies: &[&Body]) -> Result<Vec<Likelihood>, JudgeError>;

    /// The verdict of a reward plugin on each answer, in their order; `None` where it abstains or cannot tell.
    ///
    /// # Errors
    /// Where there is no such plugin, or too many of its calls fail.
    fn rewards(&mut self, plugin: &str, answered: &[(&Item, &str)]) -> Result<Vec<Option<f64>>, JudgeError>;
}

/// How one side did on one item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ItemScore {
    /// Higher is better; `None` where the item could not be scored (perplexity of a body without scored tokens, a plugin
    /// that abstains).
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
            let questions: Vec<&Prompt> = suite.items.iter().map(|item| &item.question).collect();
            let answers = judge.answer(&questions, suite.max_new_tokens).map_err(failed)?;
            check_count(suite, answers.len())?;
            let scored = suite.items.iter().zip(answers);
            scored
                .map(|(item, answer)| ItemScore { score: Some(score(&answer, &item.reference)), answer: Some(answer) })
                .collect()
        }
        Measure::Verdict => {
            let questions: Vec<&Prompt> = suite.items.iter().map(|item| &item.question).collect();
            let answers = judge.answer(&questions, suite.max_new_tokens).map_err(failed)?;
            check_count(suite, answers.len())?;
            let plugin = suite.reward.as_ref().map_or("", |reward| &reward.plugin);
            let answered: Vec<(&Item, &str)> = suite.items.iter().zip(answers.iter().map(String::as_str)).collect();
            let rewards = judge.rewards(plugin, &answered).map_err(failed)?;
            check_count(suite, rewards.len())?;
            rewards.into_iter().zip(answers).map(|(score, answer)| ItemScore { score, answer: Some(answer) }).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Metric, RewardScale, SuiteOptions, parse_golden};

    /// Answers every question with its own text, and knows each body at 2 nats a token.
    struct Echo {
        lost: usize,
    }

    impl Judge for Echo {
        fn answer(&mut self, questions: &[&Prompt], _: usize) -> Result<Vec<String>, JudgeError> {
            Ok(questions.iter().skip(self.lost).map(|question| question.text()).collect())
        }

        fn negative_log_likelihood(&mut self, bodies: &[&Body]) -> Result<Vec<Likelihood>, JudgeError> {
            let tokens = |body: &&Body| body.text().len().saturating_sub(3);
            Ok(bodies.iter().map(|b| Likelihood { nll_sum: 2.0 * tokens(b) as f64, tokens: tokens(b) }).collect())
        }

        /// Rewards length, and knows nothing of short answers.
        fn rewards(&mut self, plugin: &str, answered: &[(&Item, &str)]) -> Result<Vec<Option<f64>>, JudgeError> {
            assert_eq!(plugin, "length");
            Ok(answered.iter().map(|(_, answer)| (answer.len() > 1).then_some(answer.len() as f64)).collect())
        }
    }

    fn suite(metric: Metric) -> Suite {
        let text = r#"{"prompt": "a", "completion": "a"}
            {"prompt": "long", "completion": "b"}"#;
        let options = SuiteOptions { metric: Some(metric), ..SuiteOptions::new("s") };
        parse_golden(text, "test", options).unwrap()
    }

    #[test]
    fn answers_are_scored_against_their_own_reference() {
        let scores = evaluate(&suite(Metric::ExactMatch), &mut Echo { lost: 0 }).unwrap();
        assert_eq!(scores.items.iter().map(|item| item.score).collect::<Vec<_>>(), [Some(1.0), Some(0.0)]);
        assert_eq!(scores.items[1].answer.as_deref(), Some("long"));
    }

    #[test]
    fn likelihoods_are_per_token_and_bodies_without_tokens_are_not_scored() {
        let scores = evaluate(&suite(Metric::Perplexity), &mut Echo { lost: 0 }).unwrap();
        assert_eq!(scores.items.iter().map(|item| item.score).collect::<Vec<_>>(), [None, Some(-2.0)]);
    }

    #[test]
    fn plugins_score_answers_or_abstain() {
        let fingerprint = Fingerprint::of(b"length");
        let reward = RewardScale { plugin: "length".into(), fingerprint, min: 0.0, max: 9.0 };
        let options = SuiteOptions { metric: Some(Metric::Reward), reward: Some(reward), ..SuiteOptions::new("s") };
        let suite = parse_golden("{\"prompt\": \"a\"}\n{\"prompt\": \"long\"}", "test", options).unwrap();
        let scores = evaluate(&suite, &mut Echo { lost: 0 }).unwrap();
        assert_eq!(scores.items.iter().map(|item| item.score).collect::<Vec<_>>(), [None, Some(4.0)]);
    }

    #[test]
    fn a_lost_answer_is_an_error() {
        let error = evaluate(&suite(Metric::ExactMatch), &mut Echo { lost: 1 }).unwrap_err();
        assert_eq!(error.to_string(), "suite s: 2 items went in, 1 answers came back");
    }
}
