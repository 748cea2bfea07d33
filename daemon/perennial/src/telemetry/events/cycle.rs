//! A cycle and its phases.

use std::time::Duration;

use perennial_drift::Cause;
use perennial_types::CycleId;
use tracing::{error, info, warn};

use crate::{
    answers::{Activity, CycleEnd},
    telemetry::{Event, Phase, Telemetry},
    told::sentence,
    told::told,
};

/// A cycle was begun, or goes on after a restart.
pub(crate) struct CycleStarted {
    /// Which.
    pub(crate) cycle: CycleId,
    /// Why; `None` where it goes on.
    pub(crate) cause: Option<Cause>,
}

impl Event for CycleStarted {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, cause } = self;
        match cause {
            Some(cause) => info!(%cycle, %cause, "cycle begun"),
            None => info!(%cycle, "cycle goes on"),
        }
        telemetry.board().update(|activity| {
            // What keeps the next one from being begun is no matter of this one.
            *activity = Activity { cycle: Some(cycle), blocked: activity.blocked.take(), ..Default::default() };
        });
    }
}

/// A run of a cycle is over.
pub(crate) struct CycleEnded<'a> {
    /// Which.
    pub(crate) cycle: CycleId,
    /// How, or the error that kept it from going on.
    pub(crate) end: Result<&'a CycleEnd, &'a anyhow::Error>,
}

impl Event for CycleEnded<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let cycle = self.cycle;
        let (outcome, trouble) = match self.end {
            Ok(CycleEnd::Promoted(adapter)) => {
                info!(%cycle, %adapter, "cycle ended: candidate promoted");
                ("promoted", None)
            }
            Ok(CycleEnd::Rejected(adapter)) => {
                info!(%cycle, %adapter, "cycle ended: candidate rejected");
                ("rejected", None)
            }
            Ok(CycleEnd::Stopped) => {
                info!(%cycle, "cycle stopped at a safe point; it goes on at the next start");
                ("stopped", None)
            }
            Ok(CycleEnd::Held(adapter)) => {
                info!(%cycle, %adapter, "cycle waits for a person's word");
                ("held", None)
            }
            Ok(CycleEnd::Failed { reason, remedy }) => {
                error!(%cycle, reason, remedy, "cycle failed: its samples wait for the next");
                ("failed", Some(format!("cycle {cycle} failed: {}", sentence(reason, remedy))))
            }
            Ok(CycleEnd::Aborted { reason }) => {
                warn!(%cycle, reason, "cycle aborted: its samples wait for the next");
                ("aborted", None)
            }
            Err(problem) => {
                error!(%cycle, error = told(problem), "cycle cannot go on; it is tried again");
                ("error", Some(format!("cycle {cycle}: {}", told(problem))))
            }
        };
        let metrics = &telemetry.metrics().cycle;
        metrics.ended.with_label_values(&[outcome]).inc();
        for phase in Phase::ALL {
            metrics.phase.with_label_values(&[phase.as_str()]).set(0);
        }
        telemetry.board().update(|activity| {
            *activity = Activity { trouble, blocked: activity.blocked.take(), ..Default::default() };
        });
        telemetry.progress().finish();
    }
}

/// A phase of a cycle begins.
pub(crate) struct PhaseStarted {
    pub(crate) cycle: CycleId,
    pub(crate) phase: Phase,
}

impl Event for PhaseStarted {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, phase } = self;
        info!(%cycle, phase = phase.as_str(), "phase begun");
        for other in Phase::ALL {
            telemetry.metrics().cycle.phase.with_label_values(&[other.as_str()]).set(i64::from(other == phase));
        }
        telemetry.board().update(|activity| {
            activity.cycle = Some(cycle);
            activity.phase = Some(phase.as_str().to_owned());
            (activity.step, activity.items, activity.loss, activity.tokens_per_second) = (None, None, None, None);
        });
        telemetry.progress().phase(phase.as_str());
    }
}

/// A phase of a cycle is done and recorded.
pub(crate) struct PhaseEnded {
    pub(crate) cycle: CycleId,
    pub(crate) phase: Phase,
    /// How long it took in this run.
    pub(crate) took: Duration,
}

impl Event for PhaseEnded {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, phase, took } = self;
        let seconds = took.as_secs_f64();
        info!(%cycle, phase = phase.as_str(), seconds, "phase done");
        telemetry.metrics().cycle.phase_duration.with_label_values(&[phase.as_str()]).observe(seconds);
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn one_phase_at_most_is_under_way() {
        let telemetry = telemetry();
        let cycle = CycleId(1);
        telemetry.emit(PhaseStarted { cycle, phase: Phase::Mix });
        telemetry.emit(PhaseStarted { cycle, phase: Phase::Train });
        assert!(exports(&telemetry, r#"perennial_cycle_phase{phase="mix"} 0"#));
        assert!(exports(&telemetry, r#"perennial_cycle_phase{phase="train"} 1"#));
        telemetry.emit(CycleEnded { cycle, end: Ok(&CycleEnd::Stopped) });
        assert!(exports(&telemetry, r#"perennial_cycle_phase{phase="train"} 0"#));
        assert_eq!(telemetry.board().current(), Activity::default());
    }
}
