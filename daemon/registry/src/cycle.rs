use std::{collections::BTreeMap, fmt};

use perennial_types::{AdapterId, CycleId, Fingerprint, SampleId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The phases of a cycle, in their order. A phase is recorded when its output is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The new samples are chosen.
    Collected,
    /// The mix is frozen.
    Mixed,
    /// The candidate is trained and stored.
    Trained,
    /// Champion and candidate are scored.
    Evaluated,
    /// The gate has spoken, and the champion is who it says.
    Decided,
    /// The champion is where production reads it.
    Published,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 6] =
        [Self::Collected, Self::Mixed, Self::Trained, Self::Evaluated, Self::Decided, Self::Published];

    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Collected => "collected",
            Self::Mixed => "mixed",
            Self::Trained => "trained",
            Self::Evaluated => "evaluated",
            Self::Decided => "decided",
            Self::Published => "published",
        }
    }

    /// The phase that follows.
    pub fn next(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A phase together with what it produced, for [`Registry::record_phase`](crate::Registry::record_phase).
#[derive(Clone, Copy, Debug)]
pub enum Product<'a> {
    /// [`Phase::Collected`]
    Collected,
    /// [`Phase::Mixed`]
    Mixed {
        /// Of the rows that are trained on, in their order.
        mix: Fingerprint,
    },
    /// [`Phase::Trained`]
    Trained(&'a NewAdapter),
    /// [`Phase::Evaluated`]
    Evaluated {
        /// The fingerprints of the suites, by name.
        suites: &'a BTreeMap<String, Fingerprint>,
    },
    /// [`Phase::Decided`]
    Decided(&'a NewDecision),
    /// [`Phase::Published`]
    Published,
}

impl Product<'_> {
    /// The phase that this is recorded as the output of.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Collected => Phase::Collected,
            Self::Mixed { .. } => Phase::Mixed,
            Self::Trained(_) => Phase::Trained,
            Self::Evaluated { .. } => Phase::Evaluated,
            Self::Decided(_) => Phase::Decided,
            Self::Published => Phase::Published,
        }
    }
}

/// What a cycle starts with.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCycle {
    /// Why it starts: `samples`, `age`, `by hand` …
    pub reason: String,
    /// The configuration it runs under, whatever the file says later.
    pub config: Value,
    /// The seed of everything random in it.
    pub seed: u64,
}

/// A trained candidate and what it was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct NewAdapter {
    /// The fingerprint of its files, which names it ([`AdapterId::of`]).
    pub files: Fingerprint,
    /// The adapter whose weights it started from; `None` where it started afresh.
    pub parent: Option<AdapterId>,
    /// The fingerprint of the base model's weights.
    pub base: Fingerprint,
    /// Of the rows that it was trained on, in their order.
    pub mix: Fingerprint,
    /// The training configuration.
    pub config: Value,
    /// The training seed.
    pub seed: u64,
    /// The version of the program that trained it.
    pub code_version: String,
}

/// The gate's word on a candidate, the fingerprints of what it was given on, and what the cycle consumed.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDecision {
    /// Whether the candidate becomes the champion.
    pub passed: bool,
    /// The fingerprint of the candidate's files.
    pub files: Fingerprint,
    /// The fingerprint of the base model that both sides ran on.
    pub base: Fingerprint,
    /// The fingerprint of the mix that the candidate learned.
    pub mix: Fingerprint,
    /// The fingerprints of the suites, by name.
    pub suites: BTreeMap<String, Fingerprint>,
    /// The reasons, as the report has them.
    pub reasons: Value,
    /// The new samples of the mix that training saw. Where the gate passed they are fresh no longer; else they are tried once
    /// more, and wait.
    pub learned: Vec<SampleId>,
    /// Those of them that were tried often enough, each with the reason: set aside where the gate did not pass.
    pub set_aside: BTreeMap<SampleId, String>,
    /// Whether a candidate that passed becomes the anchor, too.
    pub pins: bool,
}

/// How a cycle ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CycleOutcome {
    /// The candidate became the champion.
    Promoted,
    /// The champion stayed.
    Rejected,
    /// Something broke that will not mend itself; its samples are fresh still.
    Failed {
        /// What broke.
        reason: String,
        /// How to mend it; empty where nothing is known.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        remedy: String,
    },
    /// It was called off; its samples are fresh still.
    Aborted {
        /// Why.
        reason: String,
    },
}

impl CycleOutcome {
    /// The name, as serde writes it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Rejected => "rejected",
            Self::Failed { .. } => "failed",
            Self::Aborted { .. } => "aborted",
        }
    }
}

/// A phase that is done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhaseRecord {
    /// No phase is recorded twice in one cycle.
    pub phase: Phase,
    /// When it was recorded.
    pub at_ms: i64,
    /// What it noted of itself.
    pub detail: Value,
}

/// What keeps a cycle from going on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// The last error.
    pub reason: String,
    /// When it came.
    pub at_ms: i64,
    /// When the first came since the cycle last recorded a phase.
    pub since_ms: i64,
}

/// All that is known of a cycle.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cycle {
    /// Its number, counted from 1.
    pub id: CycleId,
    /// Why it started.
    pub reason: String,
    /// The configuration it runs under.
    pub config: Value,
    /// What all chance of its mix and its training is drawn from.
    pub seed: u64,
    /// The champion when it started, against which its candidate is compared; `None` is the base model.
    pub champion: Option<AdapterId>,
    /// When it started.
    pub started_ms: i64,
    /// The phases that are done, in order.
    pub phases: Vec<PhaseRecord>,
    /// The fingerprint of its mix, from [`Phase::Mixed`] on.
    pub mix: Option<Fingerprint>,
    /// Its candidate, from [`Phase::Trained`] on.
    pub candidate: Option<AdapterId>,
    /// The fingerprints of its suites, from [`Phase::Evaluated`] on.
    pub suites: Option<BTreeMap<String, Fingerprint>>,
    /// How it ended, from [`Phase::Decided`] on.
    pub outcome: Option<CycleOutcome>,
    /// When it ended; `None` while it is under way.
    pub finished_ms: Option<i64>,
    /// How often it was run since it last got further.
    pub attempts: u32,
    /// What keeps it from going on, where something does.
    pub trouble: Option<Trouble>,
    /// Why it is to be aborted, where somebody asked for that.
    pub abort: Option<String>,
}

impl Cycle {
    /// The last phase that is done.
    pub fn phase(&self) -> Option<Phase> {
        self.phases.last().map(|record| record.phase)
    }

    /// The phase to go on with; `None` where the cycle is finished.
    pub fn next_phase(&self) -> Option<Phase> {
        if self.finished_ms.is_some() {
            return None;
        }
        self.phase().map_or(Some(Phase::Collected), Phase::next)
    }

    /// What a phase noted of itself.
    pub fn detail(&self, phase: Phase) -> Option<&Value> {
        self.phases.iter().find(|record| record.phase == phase).map(|record| &record.detail)
    }
}
