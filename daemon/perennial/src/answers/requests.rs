//! What is asked of cycles and the champion, and the answers to it.

use perennial_types::{AdapterId, CycleId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

/// The answer to a request for a cycle.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Started {
    /// The cycle that was begun, or goes on.
    #[schema(value_type = schemas::CycleId)]
    pub(crate) cycle: CycleId,
}

/// The body of a request to abort a cycle.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Abort {
    /// Why, for the record.
    pub(crate) reason: String,
}

/// The answer to it: `outcome` in `GET /v1/cycles/{id}` says when it is done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Aborting {
    /// The cycle that ends at its next safe point.
    #[schema(value_type = schemas::CycleId)]
    pub(crate) cycle: CycleId,
}

/// The body of a person's word on a candidate that waits.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HoldWord {
    /// Why, for the record.
    pub(crate) reason: String,
}

/// The answer to it: `outcome` in `GET /v1/cycles/{id}` says when it is carried out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Answered {
    /// The cycle whose candidate waited.
    #[schema(value_type = schemas::CycleId)]
    pub(crate) cycle: CycleId,
}

/// What stands for the reason where nobody gave one.
pub(crate) const BY_HAND: &str = "aborted by hand";
/// The same for a word on a candidate that waits.
pub(crate) const NO_REASON: &str = "no reason was given";

/// The answer to a request to give samples back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Requeued {
    /// How many samples wait again.
    pub(crate) samples: u64,
}

/// The body of a promotion by hand.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Promote {
    /// Why, for the record.
    pub(crate) reason: String,
}

/// The body of a roll-back, and its answer.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RollBack {
    /// The adapter to go back to; the one before the champion where it is `None`. In the answer: the champion now.
    #[schema(value_type = Option<schemas::AdapterId>)]
    pub(crate) to: Option<AdapterId>,
}
