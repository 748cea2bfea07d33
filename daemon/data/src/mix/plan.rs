use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{CycleId, Domain, SampleId};
use serde::{Deserialize, Serialize};

use crate::replay::PolicyKind;

/// How a mix is put together.
#[derive(Clone, Debug, PartialEq)]
pub struct MixConfig {
    /// How many new samples a cycle trains on at most; the oldest go first, the others wait for the next cycle.
    pub samples_max: usize,
    /// ρ: the share of the tokens of the mix that is replayed, from 0 to below 1.
    pub replay_fraction: f64,
    /// The share of the tokens of the mix that are answers of the base model, from 0; both together below 1.
    pub base_answer_fraction: f64,
    /// How the replayed samples are drawn.
    pub policy: PolicyKind,
    /// How often a sample may be replayed in one cycle, 1 or more.
    pub repeats_max: usize,
    /// The domains that the last evaluation saw fall.
    pub fallen: BTreeSet<Domain>,
    /// The share of the replayed tokens that goes to those first.
    pub fallen_fraction: f64,
    /// A longer sample counts as so many tokens, since training cuts it.
    pub row_tokens_max: u64,
    /// The cycle that the mix is for.
    pub cycle: CycleId,
    /// Of the draw and of the order.
    pub seed: u64,
}

impl Default for MixConfig {
    fn default() -> Self {
        Self {
            samples_max: 10_000,
            replay_fraction: 0.2,
            base_answer_fraction: 0.0,
            policy: PolicyKind::default(),
            repeats_max: 1,
            fallen: BTreeSet::new(),
            fallen_fraction: 0.5,
            row_tokens_max: u64::MAX,
            cycle: CycleId(0),
            seed: 0,
        }
    }
}

/// A sample that no promoted cycle was trained on yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewSample {
    /// Which sample is meant.
    pub id: SampleId,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub arrived_ms: i64,
    /// The tokens of its text, where they were counted.
    pub tokens: Option<u32>,
}

/// What an older program called [`Origin::BaseAnswer`].
const OLDER_BASE_ANSWER: &str = "anchor";

/// Where a sample of a mix comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// It is trained on for the first time.
    New,
    /// It was drawn from the replay buffer.
    Replay,
    /// It is an answer of the base model itself, which keeps the adapter near to what the base knew.
    #[serde(alias = "anchor")]
    BaseAnswer,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::New, Self::Replay, Self::BaseAnswer];

    /// The origin of this name, or of the one that an older program wrote.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == OLDER_BASE_ANSWER { Self::BaseAnswer.as_str() } else { name };
        Self::ALL.into_iter().find(|origin| origin.as_str() == name)
    }

    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Replay => "replay",
            Self::BaseAnswer => "base_answer",
        }
    }
}

/// Which samples a cycle trains on, and in which order.
#[derive(Clone, Debug, PartialEq)]
pub struct MixPlan {
    /// The samples in training order. None twice but replayed ones, each up to `repeats_max` times.
    pub order: Vec<(SampleId, Origin)>,
    /// How many tokens of replayed samples the fraction asks for; there are fewer where there were not enough candidates.
    pub replay_tokens_wanted: u64,
    /// The tokens of each replayed sample.
    pub(super) replay_lengths: BTreeMap<SampleId, u64>,
    /// Whether fewer tokens than wanted were drawn, since there were no more candidates.
    pub is_short: bool,
    /// The share of the mix that was to be replayed, 0 to 1, as configured.
    pub replay_fraction: f64,
    /// The policy that replay was drawn by, as configured.
    pub policy: PolicyKind,
    /// How often a replayed sample may stand in one mix, as configured.
    pub repeats_max: usize,
    /// What all draws followed from, as configured.
    pub seed: u64,
}

impl MixPlan {
    /// The ids of one origin, sorted.
    pub fn ids(&self, origin: Origin) -> BTreeSet<SampleId> {
        self.order.iter().filter(|(_, of)| *of == origin).map(|(id, _)| *id).collect()
    }

    /// How many tokens the replayed samples have, each as often as it is replayed.
    pub fn replay_tokens(&self) -> u64 {
        let replayed = self.order.iter().filter(|(_, of)| *of == Origin::Replay);
        replayed.filter_map(|(id, _)| self.replay_lengths.get(id)).sum()
    }
}
