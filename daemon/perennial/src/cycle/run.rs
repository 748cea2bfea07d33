//! A run of a cycle from its last recorded phase, and what becomes of the cycle where the run fails. Every cycle ends: an
//! error that no other try would mend ends it at once, all others after `cycle.attempts_max` tries without progress. Tries
//! are counted in the registry before they begin, so that one that ends the whole process counts as well.

use anyhow::{Context as _, bail};
use perennial_durable::{self as durable, failpoint};
use perennial_learn::train::newest_checkpoint;
use perennial_registry::{Cycle, CycleOutcome, Phase as Recorded, Product};
use perennial_types::{AdapterId, CycleId};
use serde_json::json;

use super::{CycleFolder, Scope, StateCycles, Step};
use crate::{
    clock,
    config::{self, Objective},
    failure::{Failure, FailureKind, Final, caught},
    ports::{CycleEnd, Stop},
    prune,
    telemetry::{AttemptBegun, RunFailed},
};

impl StateCycles {
    /// Carries a cycle on, as [`Cycles::run`](crate::ports::Cycles::run) promises.
    pub(super) fn attempt(&self, id: CycleId, stop: &Stop) -> anyhow::Result<CycleEnd> {
        let registry = &self.context.registry;
        let cycle = self.load(id)?;
        if cycle.finished_ms.is_some() {
            return end_of(&cycle);
        }
        if let Some(end) = self.abort_if_asked(&cycle)? {
            return Ok(end);
        }
        let attempts_max = self.context.config.current().cycle.attempts_max;
        let attempt = registry.begin_attempt(id, &self.progress(&cycle))?;
        self.context.telemetry.emit(AttemptBegun { cycle: id, attempt, attempts_max });
        if attempt > attempts_max {
            let last = cycle.trouble.map_or_else(|| "the process ended each time".to_owned(), |trouble| trouble.reason);
            return self.fail(&self.load(id)?, &exhausted(attempts_max, &last), EXHAUSTED_REMEDY);
        }
        let run = caught(|| self.phases(id, stop)).unwrap_or_else(|panicked| Err(panicked.into()));
        match run {
            // Neither says anything of the cycle.
            Ok(end @ (CycleEnd::Stopped | CycleEnd::Held(_))) => {
                registry.give_attempt_back(id)?;
                Ok(self.abort_if_asked(&self.load(id)?)?.unwrap_or(end))
            }
            Ok(end) => Ok(end),
            Err(error) => self.judge(id, error, attempts_max),
        }
    }

    fn phases(&self, id: CycleId, stop: &Stop) -> anyhow::Result<CycleEnd> {
        let config = config::read_frozen(self.load(id)?.config).map_err(|error| {
            let reason =
                format!("the configuration that cycle {id} was begun with cannot be read by this version: {error}");
            Final::new(reason, "nothing: the next cycle begins with the configuration of then")
        })?;
        // Held from the first phase to the last, so that it is read once.
        let _model = self.engine.model(&config.model)?;
        self.warm(None);
        loop {
            let cycle = self.load(id)?;
            let Some(next) = cycle.next_phase() else {
                prune::after_cycle(&self.context, &self.context.config.current());
                return end_of(&cycle);
            };
            // Publishing is short, and without it production would stay behind the champion until somebody looks again.
            if stop.is_set() && next != Recorded::Published {
                return Ok(CycleEnd::Stopped);
            }
            let folder = CycleFolder::new(self.context.state.cycle(id));
            let scope = Scope { parts: self, cycle: &cycle, config: &config, folder, stop };
            match scope.run(next)? {
                Step::Done => {}
                Step::Stopped => return Ok(CycleEnd::Stopped),
                Step::Held => return Ok(CycleEnd::Held(candidate_of(&cycle)?)),
            }
            failpoint::hit(&format!("cycle.{next}"))?;
        }
    }

    /// Ends a cycle that somebody asked to be ended, unless its candidate is in service already.
    fn abort_if_asked(&self, cycle: &Cycle) -> anyhow::Result<Option<CycleEnd>> {
        let Some(reason) = cycle.abort.clone().filter(|_| !is_promoted(cycle)) else { return Ok(None) };
        self.context.registry.abort_cycle(cycle.id, &reason, clock::now_ms())?;
        Ok(Some(CycleEnd::Aborted { reason }))
    }

    /// Ends a cycle whose run failed, or leaves it for the next try.
    fn judge(&self, id: CycleId, error: anyhow::Error, attempts_max: u32) -> anyhow::Result<CycleEnd> {
        let failure = Failure::of(&error);
        let cycle = self.load(id)?;
        let attempt = cycle.attempts;
        self.context.telemetry.emit(RunFailed { cycle: id, failure: &failure, attempt, attempts_max });
        if cycle.finished_ms.is_some() {
            // What failed came after its end, and is made good with the next cycle.
            return end_of(&cycle);
        }
        if let Some(end) = self.abort_if_asked(&cycle)? {
            return Ok(end);
        }
        if failure.kind == FailureKind::Final {
            return self.fail(&cycle, &failure.reason, &failure.remedy);
        }
        if attempt >= attempts_max {
            return self.fail(&cycle, &exhausted(attempts_max, &failure.reason), EXHAUSTED_REMEDY);
        }
        self.context.registry.record_trouble(id, &failure.reason, clock::now_ms())?;
        Err(error)
    }

    /// Ends a cycle that cannot go on: its samples wait for the next one.
    fn fail(&self, cycle: &Cycle, reason: &str, remedy: &str) -> anyhow::Result<CycleEnd> {
        if is_promoted(cycle) {
            // The champion is who the gate said; what production reads is looked at again in intervals, and at the next start.
            tracing::error!(cycle = %cycle.id, reason, "the new champion is not published as it should be; tried again");
            let detail = json!({ "left_out": reason });
            self.context.registry.record_phase(cycle.id, Product::Published, &detail, clock::now_ms())?;
            return end_of(&self.load(cycle.id)?);
        }
        let folder = CycleFolder::new(self.context.state.cycle(cycle.id));
        let report = format!("# Cycle {}: failed\n\n- {reason}\n- to mend it: {remedy}\n", cycle.id);
        // The registry has all of it; a disk that is full does not keep the cycle from ending.
        if let Err(error) = durable::write_durably(&folder.report_markdown(), report.as_bytes()) {
            tracing::warn!(cycle = %cycle.id, %error, "the report of a failed cycle cannot be written");
        }
        self.context.registry.fail_cycle(cycle.id, reason, remedy, clock::now_ms())?;
        prune::after_cycle(&self.context, &self.context.config.current());
        Ok(CycleEnd::Failed { reason: reason.to_owned(), remedy: remedy.to_owned() })
    }

    /// Names how far a cycle is: the last phase, and within training and evaluation what is on disk of them.
    fn progress(&self, cycle: &Cycle) -> String {
        let folder = CycleFolder::new(self.context.state.cycle(cycle.id));
        let checkpoints: Vec<Option<u64>> =
            Objective::all().map(|objective| newest_checkpoint(&folder.checkpoints_of(objective.as_str()))).collect();
        let phase = cycle.phase().map_or("begun", Recorded::as_str);
        format!("{phase} {checkpoints:?}")
    }
}

const EXHAUSTED_REMEDY: &str =
    "see to what the last error says; the next cycle takes its samples, and `perennial cycle` begins it at once";

fn exhausted(attempts_max: u32, last: &str) -> String {
    format!("{attempts_max} tries (cycle.attempts_max) in a row came no further; the last: {last}")
}

fn is_promoted(cycle: &Cycle) -> bool {
    cycle.outcome == Some(CycleOutcome::Promoted)
}

fn candidate_of(cycle: &Cycle) -> anyhow::Result<AdapterId> {
    cycle.candidate.clone().with_context(|| format!("cycle {} has no candidate", cycle.id))
}

fn end_of(cycle: &Cycle) -> anyhow::Result<CycleEnd> {
    match cycle.outcome.clone() {
        Some(CycleOutcome::Promoted) => Ok(CycleEnd::Promoted(candidate_of(cycle)?)),
        Some(CycleOutcome::Rejected) => Ok(CycleEnd::Rejected(candidate_of(cycle)?)),
        Some(CycleOutcome::Failed { reason, remedy }) => Ok(CycleEnd::Failed { reason, remedy }),
        Some(CycleOutcome::Aborted { reason }) => Ok(CycleEnd::Aborted { reason }),
        None => bail!("cycle {} ended without an outcome", cycle.id),
    }
}
