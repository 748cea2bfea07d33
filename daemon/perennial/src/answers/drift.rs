//! What moved.

use perennial_types::{AdapterId, CycleId, Domain};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

/// `perennial drift`, `GET /v1/drift`, and a part of the status: what was measured last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Drift {
    /// When, in milliseconds since the Unix epoch; `None` where it never was.
    #[serde(default)]
    pub(crate) measured_ms: Option<i64>,
    /// The champion's cycle, whose samples are the reference; `None` where there is no champion to compare with.
    #[serde(default)]
    #[schema(value_type = Option<schemas::CycleId>)]
    pub(crate) reference_cycle: Option<CycleId>,
    /// How many samples are compared with …
    pub(crate) reference_samples: u64,
    /// … and how many are looked at.
    pub(crate) current_samples: u64,
    /// Domains of the reference that are not looked at one by one, being too many or too small.
    #[serde(default)]
    pub(crate) domains_left_out: u64,
    /// By detector and domain.
    pub(crate) scores: Vec<DriftScore>,
    /// How far the champion is from the models before it; `None` where that was not measured yet.
    #[serde(default)]
    pub(crate) policy: Option<PolicyDrift>,
    /// What champions after each other kept of what they could.
    #[serde(default)]
    pub(crate) retention: Option<Retention>,
}

impl Drift {
    /// The scores that are beyond their thresholds.
    pub(crate) fn drifted(&self) -> impl Iterator<Item = &DriftScore> {
        self.scores.iter().filter(|score| score.drifted)
    }
}

/// What one detector says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DriftScore {
    /// Its name.
    pub(crate) detector: String,
    /// What the score means.
    pub(crate) meaning: String,
    /// The domain; `None` is all samples together.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) domain: Option<Domain>,
    /// The score; `None` where there is too little to say.
    pub(crate) score: Option<f64>,
    /// The score beyond which it is drift.
    #[serde(default)]
    pub(crate) threshold: Option<f64>,
    /// Whether it is.
    #[serde(default)]
    pub(crate) drifted: bool,
}

impl DriftScore {
    /// Detector and domain, for a person.
    pub(crate) fn name(&self) -> String {
        match &self.domain {
            Some(domain) => format!("{} of {domain}", self.detector),
            None => self.detector.clone(),
        }
    }
}

/// How far a champion is from the models before it, on prompts that never change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct PolicyDrift {
    /// The champion.
    #[schema(value_type = schemas::AdapterId)]
    pub(crate) adapter: AdapterId,
    /// When, in milliseconds since the Unix epoch.
    pub(crate) measured_ms: i64,
    /// KL(base model ‖ champion) per token, in nats, on completions of the base model.
    pub(crate) kl_base: f64,
    /// The champion before it; `None` is the base model.
    #[serde(default)]
    #[schema(value_type = Option<schemas::AdapterId>)]
    pub(crate) previous: Option<AdapterId>,
    /// KL(previous champion ‖ champion) per token, in nats, on completions of the previous one.
    pub(crate) kl_previous: f64,
    /// The champion's entropy per token, in nats, on its own completions.
    pub(crate) entropy: f64,
    /// The share of different ones among the single tokens, pairs and triples of these completions: low is a collapse.
    pub(crate) distinct: [f64; 3],
}

/// What champions after each other kept of what they could (Lopez-Paz and Ranzato 2017; Chaudhry and others 2018).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Retention {
    /// The champion's mean score over suites (ACC).
    pub(crate) acc: f64,
    /// The mean over suites of its score less that of the first champion that was asked it (BWT).
    pub(crate) bwt: f64,
    /// Suite by suite.
    pub(crate) suites: Vec<SuiteRetention>,
}

/// A suite in the course of champions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SuiteRetention {
    /// Its name.
    pub(crate) suite: String,
    /// The best score of an earlier champion less this one's: more than 0 is forgotten; `None` where there is no earlier one.
    pub(crate) forgetting: Option<f64>,
    /// Each champion's score, the oldest first, the champion's last.
    pub(crate) scores: Vec<RetainedScore>,
}

/// A champion's score on a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RetainedScore {
    /// The cycle that it was asked in.
    #[schema(value_type = schemas::CycleId)]
    pub(crate) cycle: CycleId,
    /// Its mean score, 0 to 1.
    pub(crate) score: f64,
}
