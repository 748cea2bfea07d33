//! Suites, decisions, and who is in service.

use std::time::{SystemTime, UNIX_EPOCH};

use perennial_types::AdapterId;
use tracing::{info, warn};

use crate::telemetry::{Event, Telemetry};

/// A suite was scored for champion and candidate.
pub(crate) struct SuiteScored<'a> {
    /// The suite's name: configured, or that of a domain's auto suite.
    pub(crate) suite: &'a str,
    /// The champion's mean score.
    pub(crate) champion: f64,
    /// The candidate's mean score.
    pub(crate) candidate: f64,
}

impl Event for SuiteScored<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { suite, champion, candidate } = self;
        info!(suite, champion, candidate, "suite scored");
        for (model, score) in [("champion", champion), ("candidate", candidate)] {
            telemetry.metrics().gate.suite_score.with_label_values(&[suite, model]).set(score);
        }
    }
}

/// The gate, or somebody in its place, decided.
pub(crate) enum Decided<'a> {
    /// The gate lets the candidate into service.
    Promote(&'a AdapterId),
    /// The gate refuses the candidate.
    Reject {
        /// The candidate.
        adapter: &'a AdapterId,
        /// The suites that fell, or what else was missing.
        reason: &'a str,
    },
    /// Somebody put an adapter in service by hand.
    Forced(&'a AdapterId),
    /// An earlier champion (`None`: the base model alone) is in service again.
    RolledBack(Option<&'a AdapterId>),
}

impl Event for Decided<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let decision = match self {
            Self::Promote(adapter) => {
                info!(%adapter, "gate passed: promote");
                "promote"
            }
            Self::Reject { adapter, reason } => {
                warn!(%adapter, reason, "gate failed: reject");
                "reject"
            }
            Self::Forced(adapter) => {
                warn!(%adapter, "promoted by hand");
                "forced"
            }
            Self::RolledBack(adapter) => {
                let adapter = adapter.map_or("none (the base model)", AdapterId::as_str);
                warn!(adapter, "rolled back");
                "roll_back"
            }
        };
        telemetry.metrics().gate.decisions.with_label_values(&[decision]).inc();
    }
}

/// A champion is in service since then: at start, and whenever it changes.
pub(crate) struct ChampionInService {
    /// Since when.
    pub(crate) since: SystemTime,
}

impl Event for ChampionInService {
    fn emit(self, telemetry: &Telemetry) {
        let seconds = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        telemetry.metrics().gate.champion_since.set(seconds);
    }
}
