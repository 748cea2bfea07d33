//! Cycles as the loop runs them: begun, carried on, ended, and paused after a failure.

use perennial_types::CycleId;
use tokio::sync::oneshot;
use tracing::{error, info};

use super::{
    Job, Service, Which,
    handle::{Command, Refusal},
    policy,
    work::on_thread,
};
use crate::{
    clock,
    ports::{Cause, CycleEnd, Stop},
    stuck,
    telemetry::{CycleEnded, CycleStarted, NextCycleBlocked, NextCycleFree, SetAsideCount, Standing},
};

impl Service {
    pub(super) fn tell_standing(&self) {
        let activity = self.context.telemetry.board().current();
        match stuck::find(&self.context.registry, Some(&activity)) {
            Ok(stuck) => self.context.telemetry.emit(Standing(stuck.as_ref())),
            Err(problem) => error!(error = format!("{problem:#}"), "how training stands cannot be told"),
        }
        match self.context.registry.set_aside_count() {
            Ok(count) => self.context.telemetry.emit(SetAsideCount(count)),
            Err(error) => error!(%error, "the samples that are set aside cannot be counted"),
        }
    }

    /// Finds out, beside everything else, whether a cycle could be begun.
    pub(super) fn start_check(&mut self) {
        let (cycles, config) = (self.ports.cycles.clone(), self.context.config.current());
        self.jobs.spawn(async move {
            let checked = on_thread("check", move || cycles.check(&config)).await;
            Job::Check(checked.unwrap_or_else(|error| Err(error.into())))
        });
    }

    pub(super) fn start_cycle(&mut self, which: Which, reply: Option<oneshot::Sender<Result<CycleId, Refusal>>>) {
        self.cycle_runs = true;
        self.cycle_stop = Stop::default();
        let (cycles, telemetry) = (self.ports.cycles.clone(), self.context.telemetry.clone());
        let stop = self.cycle_stop.clone();
        let work = move || {
            let (cycle, cause) = match which {
                Which::Continue(cycle) => (cycle, None),
                Which::Begin(cause) => match cycles.begin(cause) {
                    Ok(cycle) => (cycle, Some(cause)),
                    Err(problem) => {
                        let Some(reply) = reply else { return Job::Cycle { cycle: None, end: Err(problem) } };
                        let _ = reply.send(Err(Refusal::Failed(format!("{problem:#}"))));
                        return Job::Refused;
                    }
                },
            };
            telemetry.emit(CycleStarted { cycle, cause });
            if let Some(reply) = reply {
                let _ = reply.send(Ok(cycle));
            }
            Job::Cycle { cycle: Some(cycle), end: cycles.run(cycle, &stop) }
        };
        self.jobs.spawn(async {
            on_thread("cycle", work).await.unwrap_or_else(|error| Job::Cycle { cycle: None, end: Err(error.into()) })
        });
    }

    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::StartCycle(reply) if self.cycle_runs => drop(reply.send(Err(Refusal::Running))),
            Command::StartCycle(reply) => match self.ports.cycles.unfinished() {
                // Somebody who asks for a cycle does not want to wait out the pause after a failure.
                Ok(Some(cycle)) => {
                    self.start_cycle(Which::Continue(cycle), None);
                    drop(reply.send(Ok(cycle)));
                }
                Ok(None) => self.start_cycle(Which::Begin(Cause::Manual), Some(reply)),
                Err(problem) => drop(reply.send(Err(Refusal::Failed(format!("{problem:#}"))))),
            },
            // The registry knows that it is to end: its run looks there when it stops, or before it does anything.
            Command::EndCycle(_) if self.cycle_runs => self.cycle_stop.set(),
            Command::EndCycle(cycle) => self.start_cycle(Which::Continue(cycle), None),
        }
    }

    pub(super) fn cycle_finished(&mut self, cycle: Option<CycleId>, end: &anyhow::Result<CycleEnd>) {
        self.cycle_runs = false;
        match (cycle, end) {
            (Some(cycle), end) => self.context.telemetry.emit(CycleEnded { cycle, end: end.as_ref() }),
            (None, Err(problem)) => self.context.telemetry.emit(NextCycleBlocked(problem)),
            (None, Ok(_)) => {}
        }
        if cycle.is_some() {
            self.context.telemetry.emit(NextCycleFree);
        }
        match end {
            Ok(CycleEnd::Promoted(_)) => {
                self.unpause();
                self.tell_champion();
            }
            Ok(CycleEnd::Rejected(_)) => self.unpause(),
            Ok(CycleEnd::Stopped) => {}
            // What failed, or was called off, would otherwise begin again at once with the same samples.
            Ok(CycleEnd::Failed { .. } | CycleEnd::Aborted { .. }) | Err(_) => self.pause(),
        }
        self.tell_standing();
    }

    pub(super) fn pause(&mut self) {
        self.failures += 1;
        let pause = policy::backoff(self.failures);
        let until_ms = clock::now_ms().saturating_add_unsigned(pause.as_millis() as u64);
        self.retry_ms = Some(until_ms);
        self.context.telemetry.board().update(|activity| activity.retry_ms = Some(until_ms));
        info!(seconds = pause.as_secs(), "nothing begins by itself before then; `perennial cycle` does not wait");
    }

    pub(super) fn unpause(&mut self) {
        (self.failures, self.retry_ms) = (0, None);
        self.context.telemetry.board().update(|activity| activity.retry_ms = None);
    }

    pub(super) fn tell_check(&self, outcome: &anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.context.telemetry.emit(NextCycleFree),
            Err(problem) => self.context.telemetry.emit(NextCycleBlocked(problem)),
        }
        self.tell_standing();
    }
}
