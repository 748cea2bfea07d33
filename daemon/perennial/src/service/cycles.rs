//! Cycles as the loop runs them: begun, carried on, ended, and paused after a failure.

use anyhow::bail;
use perennial_drift::Cause;
use perennial_types::CycleId;
use tokio::sync::oneshot;
use tracing::info;

use super::{
    Service,
    handle::Command,
    jobs::{Job, Which},
    policy::{self, Situation, Step},
    work::on_thread,
};
use crate::{
    clock, config,
    ports::{AskError, CycleEnd, Cycles, NothingToDo, Stop},
    telemetry::{CycleEnded, CycleStarted, NextCycleBlocked, NextCycleFree},
    told::told,
};

impl Service {
    /// Finds out, beside everything else, whether a cycle could be begun.
    pub(super) fn start_check(&mut self) {
        let (cycles, config) = (self.ports.cycles.clone(), self.context.config.current());
        self.jobs.spawn(async move {
            let checked = on_thread("check", move || cycles.check(&config)).await;
            Job::Check(checked.unwrap_or_else(|error| Err(error.into())))
        });
    }

    pub(super) fn start_cycle(&mut self, which: Which) {
        self.cycle_runs = true;
        self.cycle_stop = Stop::default();
        self.drift_stop.set();
        let (cycles, telemetry) = (self.ports.cycles.clone(), self.context.telemetry.clone());
        let (stop, limits) = (self.cycle_stop.clone(), self.context.config.current());
        let work = move || {
            let (chosen, reply) = match which {
                Which::Continue(cycle) => (Ok((cycle, None)), None),
                Which::Begin(cause) => (cycles.begin(cause).map(|cycle| (cycle, Some(cause))), None),
                Which::Asked(reply) => (unfinished_or_new(&*cycles, &limits.cycle), Some(reply)),
            };
            let (cycle, cause) = match chosen {
                Ok(chosen) => chosen,
                Err(problem) if reply.is_none() => return Job::Cycle { cycle: None, end: Err(problem) },
                Err(problem) => {
                    let refusal = match problem.downcast_ref::<NothingToDo>() {
                        Some(NothingToDo(why)) => AskError::NothingToDo(why.clone()),
                        None => AskError::Refused(told(&problem)),
                    };
                    answer(reply, &Err(refusal));
                    return Job::Refused;
                }
            };
            // Going on with one that is there says nothing of the next.
            if cause.is_some() {
                telemetry.emit(NextCycleFree);
            }
            telemetry.emit(CycleStarted { cycle, cause });
            answer(reply, &Ok(cycle));
            Job::Cycle { cycle: Some(cycle), end: cycles.run(cycle, &stop) }
        };
        self.jobs.spawn(async {
            on_thread("cycle", work).await.unwrap_or_else(|error| Job::Cycle { cycle: None, end: Err(error.into()) })
        });
    }

    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::StartCycle(reply) if self.cycle_runs => answer(Some(reply), &Err(AskError::CycleUnderWay)),
            // Somebody who asks for a cycle does not want to wait out the pause after a failure.
            Command::StartCycle(reply) => self.start_cycle(Which::Asked(reply)),
            // The registry knows that it is to end: its run looks there when it stops, or before it does anything.
            Command::EndCycle(_) if self.cycle_runs => self.cycle_stop.set(),
            // One that runs looks there before it decides, or goes on at the next look.
            Command::CarryOut(_) if self.cycle_runs => {}
            Command::EndCycle(cycle) | Command::CarryOut(cycle) => self.start_cycle(Which::Continue(cycle)),
        }
    }

    pub(super) fn cycle_finished(&mut self, cycle: Option<CycleId>, end: &anyhow::Result<CycleEnd>) {
        self.cycle_runs = false;
        self.measure_drift_soon();
        self.look_around_soon();
        match (cycle, end) {
            (Some(cycle), end) => self.context.telemetry.emit(CycleEnded { cycle, end: end.as_ref() }),
            (None, Err(problem)) => self.context.telemetry.emit(NextCycleBlocked(problem)),
            (None, Ok(_)) => {}
        }
        match end {
            Ok(CycleEnd::Promoted(_)) => {
                self.unpause();
                self.tell_champion();
            }
            Ok(CycleEnd::Rejected(_)) => self.unpause(),
            Ok(CycleEnd::Stopped | CycleEnd::Held(_)) => {}
            // What failed, or was called off, would otherwise begin again at once with the same samples.
            Ok(CycleEnd::Failed { .. } | CycleEnd::Aborted { .. }) | Err(_) => self.pause(),
        }
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

    pub(super) fn tell_check(&mut self, outcome: &anyhow::Result<()>) {
        match outcome {
            Ok(()) => self.context.telemetry.emit(NextCycleFree),
            Err(problem) => self.context.telemetry.emit(NextCycleBlocked(problem)),
        }
        self.look_around_soon();
    }
}

fn unfinished_or_new(cycles: &dyn Cycles, limits: &config::Cycle) -> anyhow::Result<(CycleId, Option<Cause>)> {
    let asked = Situation { unfinished: cycles.unfinished()?, is_asked: true, ..Default::default() };
    match policy::next(limits, &asked) {
        Step::Continue(cycle) => Ok((cycle, None)),
        Step::Begin(cause) => Ok((cycles.begin(cause)?, Some(cause))),
        Step::Wait { .. } => bail!("no cycle is due, though one was asked for"),
    }
}

/// That nobody waits for the answer any longer is no error.
fn answer(reply: Option<oneshot::Sender<Result<CycleId, AskError>>>, answer: &Result<CycleId, AskError>) {
    reply.into_iter().for_each(|reply| drop(reply.send(answer.clone())));
}
