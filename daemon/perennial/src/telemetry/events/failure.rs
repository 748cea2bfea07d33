//! What keeps cycles from getting on, and samples from being learned from.

use std::path::Path;

use perennial_types::CycleId;
use tracing::{debug, error, info, warn};

use super::whole;
use crate::{
    answers::{Blocked, Stuck},
    clock,
    config::Objective,
    failure::{Failure, Final},
    telemetry::{Event, Telemetry},
    told::told,
};

/// A run of a cycle begins.
pub(crate) struct AttemptBegun {
    pub(crate) cycle: CycleId,
    /// The number of the run since the cycle last got further, from 1.
    pub(crate) attempt: u32,
    /// How many are allowed.
    pub(crate) attempts_max: u32,
}

impl Event for AttemptBegun {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, attempt, attempts_max } = self;
        telemetry.metrics().cycle.attempts.set(i64::from(attempt));
        if attempt > 1 {
            info!(%cycle, attempt, attempts_max, "another try");
        }
    }
}

/// A run of a cycle failed.
pub(crate) struct RunFailed<'a> {
    pub(crate) cycle: CycleId,
    /// Why, and what that means.
    pub(crate) failure: &'a Failure,
    /// The number of the run since the cycle last got further.
    pub(crate) attempt: u32,
    /// How many are allowed.
    pub(crate) attempts_max: u32,
}

impl Event for RunFailed<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, failure, attempt, attempts_max } = self;
        let kind = failure.kind.as_str();
        telemetry.metrics().cycle.failures.with_label_values(&[kind]).inc();
        debug!(%cycle, kind, attempt, attempts_max, reason = failure.sentence(), "a run of the cycle failed");
    }
}

/// No cycle can be begun, though it is time for one.
pub(crate) struct NextCycleBlocked<'a>(pub(crate) &'a anyhow::Error);

impl Event for NextCycleBlocked<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let reason = told(self.0);
        error!(reason, "no cycle can be begun: samples are taken in, and wait");
        telemetry.board().update(|activity| {
            let since_ms = activity.blocked.as_ref().map_or_else(clock::now_ms, |blocked| blocked.since_ms);
            activity.blocked = Some(Blocked { since_ms, reason });
        });
    }
}

/// A cycle can be begun again.
pub(crate) struct NextCycleFree;

impl Event for NextCycleFree {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.board().update(|activity| activity.blocked = None);
    }
}

/// What is likely not meant so, of a cycle that can be begun.
pub(crate) struct NextCycleDoubts<'a>(pub(crate) &'a [String]);

impl Event for NextCycleDoubts<'_> {
    fn emit(self, _telemetry: &Telemetry) {
        for doubt in self.0 {
            warn!(doubt, "is this meant so?");
        }
    }
}

/// How training stands, as the loop sees it at each turn.
pub(crate) struct Standing<'a>(pub(crate) Option<&'a Stuck>);

impl Event for Standing<'_> {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.board().set_stuck(self.0.cloned());
        let metrics = &telemetry.metrics().cycle;
        metrics.stuck_since.set(self.0.map_or(0.0, |stuck| stuck.since_ms as f64 / 1000.0));
        metrics.failed_in_a_row.set(self.0.map_or(0, |stuck| i64::from(stuck.failed_cycles)));
        if self.0.is_none_or(|stuck| stuck.attempts == 0) && telemetry.board().current().cycle.is_none() {
            metrics.attempts.set(0);
        }
    }
}

/// An objective of a training stage learned nothing.
pub(crate) struct NothingLearned<'a> {
    /// Which.
    pub(crate) objective: Objective,
    /// Why, and how to mend it.
    pub(crate) why: &'a Final,
}

impl Event for NothingLearned<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { objective, why } = self;
        let objective = objective.as_str();
        telemetry.metrics().train.nothing_learned.with_label_values(&[objective]).inc();
        warn!(objective, reason = %why, remedy = why.remedy, "nothing was learned");
    }
}

/// Samples that nothing can be learned from left the queue.
pub(crate) struct SamplesSetAside<'a> {
    /// How many that were not set aside before.
    pub(crate) added: usize,
    /// The cycle that found them; `None` where the indexer did.
    pub(crate) cycle: Option<CycleId>,
    /// Where each stands with its reason.
    pub(crate) quarantine: Option<&'a Path>,
}

impl Event for SamplesSetAside<'_> {
    fn emit(self, _telemetry: &Telemetry) {
        let Self { added, cycle, quarantine } = self;
        let quarantine = quarantine.map(|path| path.display().to_string());
        let cycle = cycle.map(|cycle| cycle.to_string());
        warn!(samples = added, cycle, quarantine, "samples set aside: nothing can be learned from them as things are");
    }
}

/// What samples taught was refused by the gate.
pub(crate) struct SamplesReturned<'a> {
    pub(crate) cycle: CycleId,
    /// How many are new again.
    pub(crate) again: usize,
    /// How many are set aside, having been tried often enough.
    pub(crate) set_aside: usize,
    /// Where those stand with their reason.
    pub(crate) quarantine: Option<&'a Path>,
}

impl Event for SamplesReturned<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, again, set_aside, quarantine } = self;
        let metrics = &telemetry.metrics().cycle.returned;
        metrics.with_label_values(&["new"]).inc_by(again as u64);
        metrics.with_label_values(&["set_aside"]).inc_by(set_aside as u64);
        if again > 0 {
            info!(%cycle, samples = again, "samples are new again, for the gate refused what they taught");
        }
        if set_aside > 0 {
            let quarantine = quarantine.map(|path| path.display().to_string());
            warn!(%cycle, samples = set_aside, quarantine, "samples set aside: tried as often as cycle.requeue_max allows");
        }
    }
}

/// So many samples are set aside now.
pub(crate) struct SetAsideCount(pub(crate) u64);

impl Event for SetAsideCount {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.metrics().cycle.set_aside.set(whole(self.0));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn what_is_stuck_is_measured_and_forgotten_when_it_is_over() {
        let telemetry = telemetry();
        let stuck = Stuck {
            cycle: Some(CycleId(3)),
            since_ms: 5_000,
            reason: "full".to_owned(),
            remedy: String::new(),
            attempts: 2,
            failed_cycles: 1,
            retry_ms: None,
        };
        telemetry.emit(AttemptBegun { cycle: CycleId(3), attempt: 2, attempts_max: 8 });
        telemetry.emit(Standing(Some(&stuck)));
        assert!(exports(&telemetry, "perennial_cycle_stuck_since_timestamp_seconds 5"));
        assert!(exports(&telemetry, "perennial_cycle_attempts 2"));
        assert!(exports(&telemetry, "perennial_cycle_failed_in_a_row 1"));
        telemetry.emit(Standing(None));
        assert!(exports(&telemetry, "perennial_cycle_stuck_since_timestamp_seconds 0"));
        assert!(exports(&telemetry, "perennial_cycle_attempts 0"));
    }

    #[test]
    fn a_block_keeps_its_beginning() {
        let telemetry = telemetry();
        telemetry.emit(NextCycleBlocked(&anyhow::anyhow!("another rank")));
        let first = telemetry.board().current().blocked.unwrap();
        telemetry.emit(NextCycleBlocked(&anyhow::anyhow!("another alpha")));
        let second = telemetry.board().current().blocked.unwrap();
        assert_eq!((second.since_ms, second.reason.as_str()), (first.since_ms, "another alpha"));
        telemetry.emit(NextCycleFree);
        assert_eq!(telemetry.board().current().blocked, None);
    }
}
