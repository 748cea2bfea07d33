//! How a pin looks in JSON, for the reference of the HTTP interface; as in [`schemas`](super::schemas).

#![expect(dead_code, reason = "only its shape is read")]

use utoipa::ToSchema;

use super::schemas::{AdapterId, CycleId};

/// What candidates are held against beside the champion, from a time on.
#[derive(ToSchema)]
pub(crate) struct Pin {
    /// When, in milliseconds since the Unix epoch.
    at_ms: i64,
    /// The anchor; null is the base model.
    adapter: Option<AdapterId>,
    /// Why.
    reason: PinReason,
    /// The cycle whose candidate passed the test; null elsewhere.
    cycle: Option<CycleId>,
    /// What whoever pinned it said; null elsewhere.
    note: Option<String>,
}

/// Why the anchor changed.
#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PinReason {
    Hand,
    Test,
}
