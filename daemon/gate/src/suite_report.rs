use perennial_types::{Domain, Fingerprint};
use serde::{Deserialize, Serialize};

use crate::{Interval, Metric, Verdict};

/// The items on which the candidate lost most that a report keeps.
pub const WORST_ITEMS_MAX: usize = 5;
/// The items without a judgement that a report names; all of them are counted.
pub const UNJUDGED_ITEMS_MAX: usize = 20;
/// The longest question, reference or answer that a report keeps, in characters.
pub const WORST_ITEM_CHARS_MAX: usize = 2000;

/// An item on which the candidate lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstItem {
    /// The item's id.
    pub id: String,
    /// What was asked, cut to [`WORST_ITEM_CHARS_MAX`].
    pub question: String,
    /// The right answer, cut likewise.
    pub reference: String,
    /// What the candidate answered, cut likewise; `None` where the metric is a likelihood.
    pub candidate_answer: Option<String>,
    /// What the champion answered.
    pub champion_answer: Option<String>,
    /// The candidate's item score.
    pub candidate_score: f64,
    /// The champion's item score.
    pub champion_score: f64,
}

/// An item that says nothing of the candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnjudgedItem {
    /// The item's id.
    pub id: String,
    /// Whose answer could not be judged; `None` where nobody was asked, or neither could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Why.
    pub reason: String,
}

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The adapter in service, or the base model.
    Champion,
    /// The adapter that was just trained.
    Candidate,
}

impl Side {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Candidate => "candidate",
        }
    }
}

/// How many of the compared answers were cut off at their limit of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutAnswers {
    /// The limit, in tokens.
    pub max_new_tokens: usize,
    /// The candidate's.
    pub candidate: usize,
    /// The champion's.
    pub champion: usize,
}

/// Champion and candidate on one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteReport {
    /// The suite's name.
    pub suite: String,
    /// Its domain.
    pub domain: Option<Domain>,
    /// Its metric.
    pub metric: Metric,
    /// The reward plugin that judged, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whether a loss here rejects.
    pub protected: bool,
    /// Whether a gain here promotes.
    pub target: bool,
    /// The tolerated loss.
    pub margin: f64,
    /// The items that were compared.
    pub n: usize,
    /// The items with which it has a say ([`items_needed`](crate::items_needed)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_needed: Option<usize>,
    /// Their tokens, where the score is a mean over tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// The items that were left out on both sides, since one or both could not be judged on them.
    pub unjudged: usize,
    /// The first [`UNJUDGED_ITEMS_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged_items: Vec<UnjudgedItem>,
    /// The answers that were cut off, where the metric is of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutAnswers>,
    /// The candidate's score as people read it ([`Metric::shown`]): a mean in `[0, 1]`, or a perplexity.
    pub candidate: f64,
    /// The champion's.
    pub champion: f64,
    /// The mean difference of the item scores and its bounds; positive is better, for perplexity too (nats per token).
    pub difference: Interval,
    /// What that means.
    pub verdict: Verdict,
    /// Where the candidate lost most, worst first; at most [`WORST_ITEMS_MAX`].
    pub worst: Vec<WorstItem>,
}
