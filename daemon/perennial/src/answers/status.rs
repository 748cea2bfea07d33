//! How a state directory stands.

use std::collections::BTreeMap;

use perennial_types::{AdapterId, Domain, Publication};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Activity, Anchor, CycleRow, Drift, Held, IntakeTrouble, Stuck, Untrained, Waiting, schemas};

/// `perennial status`, `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    /// The program's version.
    pub(crate) version: String,
    /// The state directory.
    pub(crate) state: String,
    /// What the daemon does; `None` where none runs.
    pub(crate) activity: Option<Activity>,
    /// What keeps rows from coming in; `None` where no daemon runs.
    #[serde(default)]
    pub(crate) intake: Option<IntakeTrouble>,
    /// The adapter in service; `None` is the base model alone.
    #[schema(value_type = Option<schemas::AdapterId>)]
    pub(crate) champion: Option<AdapterId>,
    /// Since when, in milliseconds since the Unix epoch.
    pub(crate) champion_since_ms: Option<i64>,
    /// The gate's anchor, which candidates are held against beside the champion; `None` where `gate.anchor.enabled` is off.
    #[serde(default)]
    pub(crate) anchor: Option<Anchor>,
    /// What keeps training from getting on, where something does.
    #[serde(default)]
    pub(crate) stuck: Option<Stuck>,
    /// Why production reads another adapter than the champion; `None` where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unpublished: Option<String>,
    /// How each target of publishing stands.
    #[serde(default)]
    #[schema(value_type = Vec<schemas::Publication>)]
    pub(crate) targets: Vec<Publication>,
    /// How far what comes in is from what the champion learned, when that was measured last.
    #[serde(default)]
    pub(crate) drift: Drift,
    /// What is likely not meant so, such as a reward plugin for domains that no sample is of.
    #[serde(default)]
    pub(crate) doubts: Vec<String>,
    /// The candidate that waits for a person's word; `None` where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<Held>,
    /// What waits for a cycle.
    pub(crate) waiting: Waiting,
    /// Samples that wait and that no stage of training learns from, by kind.
    #[serde(default)]
    pub(crate) untrained: Vec<Untrained>,
    /// Samples that nothing can be learned from as things are.
    #[serde(default)]
    pub(crate) set_aside: u64,
    /// How many answers of the base model there are for mixes (`replay.base_answers`); `None` where it was not asked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) base_answers: Option<BaseAnswerCounts>,
    /// Training samples that wait for the replay buffer.
    pub(crate) unindexed: u64,
    /// Stored samples by domain.
    #[schema(value_type = BTreeMap<String, DomainSamples>)]
    pub(crate) domains: BTreeMap<Domain, DomainSamples>,
    /// The last cycle.
    pub(crate) last_cycle: Option<CycleRow>,
}

/// How many prompts of `replay.base_answers` the base model answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BaseAnswerCounts {
    /// Those with an answer that ended by itself.
    pub(crate) answered: u64,
    /// Those without.
    pub(crate) unanswered: u64,
}

/// What `/ready` answers.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Samples are taken in, and what is asked is answered.
    pub(crate) ready: bool,
    /// What keeps training from getting on, where something does; for callers with the role to read.
    pub(crate) stuck: Option<Stuck>,
}

/// A domain's samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DomainSamples {
    /// To train on.
    pub(crate) training: u64,
    /// To judge with.
    pub(crate) held_out: u64,
}
