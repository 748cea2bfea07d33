//! A candidate that waits for a person's word.

use perennial_types::{AdapterId, CycleId};
use tracing::{info, warn};

use crate::{
    answers::Held,
    telemetry::{Event, Telemetry},
};

/// A candidate passed the gate and begins to wait for a person's word.
pub(crate) struct CandidateHeld<'a> {
    /// Its cycle.
    pub(crate) cycle: CycleId,
    /// The candidate.
    pub(crate) candidate: Option<&'a AdapterId>,
    /// When it is declined where nobody says anything.
    pub(crate) until_ms: i64,
}

impl Event for CandidateHeld<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, candidate, until_ms } = self;
        let adapter = candidate.map(ToString::to_string).unwrap_or_default();
        warn!(%cycle, adapter, until_ms, "candidate passed the gate and waits: `perennial approve` or `perennial decline`");
        telemetry.metrics().cycle.held_until.set(until_ms as f64 / 1000.0);
    }
}

/// Whether a candidate waits, as the loop sees it at each turn.
pub(crate) struct HeldStanding<'a>(pub(crate) Option<&'a Held>);

impl Event for HeldStanding<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().cycle.held_until.set(self.0.map_or(0.0, |held| held.until_ms as f64 / 1000.0));
    }
}

/// A person said whether a candidate that waits may be in service.
pub(crate) struct HoldAnswered<'a> {
    /// Its cycle.
    pub(crate) cycle: CycleId,
    /// Whether it may.
    pub(crate) approves: bool,
    /// Why, as they gave it.
    pub(crate) reason: &'a str,
}

impl Event for HoldAnswered<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, approves, reason } = self;
        info!(%cycle, approves, reason, "a person spoke of the candidate that waits");
        telemetry.metrics().cycle.held_until.set(0.0);
    }
}
