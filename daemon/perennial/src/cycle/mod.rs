//! One cycle, phase by phase: `collected → mixed → trained → evaluated → decided → published`.
//!
//! A phase writes its output into the cycle's folder, syncs it, and then records itself in the registry in one transaction.
//! After a crash the cycle goes on behind the last recorded phase, and a phase that finds its own output half done goes on
//! from there, so that every run of a cycle ends the same.

mod collect;
mod decide;
mod evaluate;
mod folder;
mod mix;
mod prune;
mod publish;
mod suites;
mod train;

use std::time::Instant;

use anyhow::{Context as _, bail};
use perennial_registry::{Cycle, CycleOutcome, NewCycle, Phase as Recorded, publish as published};
use perennial_types::{AdapterId, CycleId};

use crate::{
    clock,
    config::Config,
    engine::Engine,
    indexer::StateIndexer,
    ports::{Cause, Context, CycleEnd, Cycles, Stop, Waiting},
    replay::BufferLock,
    rewards,
    telemetry::{Decided, Phase, PhaseEnded, PhaseStarted},
};

pub(crate) use self::{collect::trained_kinds, folder::CycleFolder, suites::golden};

/// [`Cycles`] of a state directory.
pub(crate) struct StateCycles {
    context: Context,
    engine: Engine,
    buffer: BufferLock,
    indexer: StateIndexer,
}

/// What every phase works with: one cycle under the configuration that it was begun with.
struct Scope<'a> {
    parts: &'a StateCycles,
    cycle: &'a Cycle,
    config: &'a Config,
    folder: CycleFolder,
    stop: &'a Stop,
}

/// How far a phase came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Its output is there, and it is recorded.
    Done,
    /// Told to stop at a safe point.
    Stopped,
}

impl StateCycles {
    pub(crate) fn new(context: Context, engine: Engine, buffer: BufferLock) -> Self {
        let indexer = StateIndexer::new(context.clone(), engine.clone(), buffer.clone());
        Self { context, engine, buffer, indexer }
    }

    /// A cycle keeps the plugins that it was begun with, so one that fails by them would fail for ever. The samples stay
    /// fresh, and the next cycle trains on them with whatever plugins and limits are configured then.
    fn give_up(&self, cycle: CycleId, error: anyhow::Error) -> anyhow::Result<CycleEnd> {
        self.context.registry.abort_cycle(cycle, &format!("{error:#}"), clock::now_ms())?;
        Err(error.context("the cycle is given up, and its samples wait for the next one"))
    }

    fn load(&self, cycle: CycleId) -> anyhow::Result<Cycle> {
        self.context.registry.cycle(cycle)?.with_context(|| format!("there is no cycle {cycle}"))
    }

    /// Production reads whoever the registry says: run after each change of the champion, and at start, since a crash may
    /// have come between the two.
    fn publish_champion(&self) -> anyhow::Result<Option<AdapterId>> {
        let champion = self.context.registry.champion()?;
        published::switch_current(&self.context.state.export(), champion.as_ref())?;
        Ok(champion)
    }
}

impl Cycles for StateCycles {
    fn waiting(&self) -> anyhow::Result<Waiting> {
        let kinds = trained_kinds(&self.context.config.current().train);
        let fresh = self.context.registry.fresh(&kinds)?;
        Ok(Waiting { samples: fresh.count, oldest_ms: fresh.oldest_ms })
    }

    fn unfinished(&self) -> anyhow::Result<Option<CycleId>> {
        Ok(self.context.registry.open_cycle()?.map(|cycle| cycle.id))
    }

    fn begin(&self, cause: Cause) -> anyhow::Result<CycleId> {
        if self.waiting()?.samples == 0 {
            bail!("no new samples wait: ingest some, or requeue those of a rejected cycle (`perennial requeue`)");
        }
        let config = self.context.config.current();
        let number = self.context.registry.cycles(1)?.first().map_or(0, |last| last.id.0);
        let new = NewCycle {
            reason: serde_json::to_value(cause)?.as_str().unwrap_or_default().to_owned(),
            config: serde_json::to_value(&*config)?,
            seed: config.cycle.seed.wrapping_add(number),
        };
        Ok(self.context.registry.begin_cycle(&new, clock::now_ms())?)
    }

    fn run(&self, cycle: CycleId, stop: &Stop) -> anyhow::Result<CycleEnd> {
        let config: Config = serde_json::from_value(self.load(cycle)?.config)
            .with_context(|| format!("the configuration that cycle {cycle} was begun with"))?;
        // Held from the first phase to the last, so that it is read once.
        let _model = self.engine.model(&config.model)?;
        loop {
            let cycle = self.load(cycle)?;
            let Some(next) = cycle.next_phase() else {
                prune::run(self, &config)?;
                return end_of(&cycle);
            };
            if stop.is_set() {
                return Ok(CycleEnd::Stopped);
            }
            let folder = CycleFolder::new(self.context.state.cycle(cycle.id));
            let scope = Scope { parts: self, cycle: &cycle, config: &config, folder, stop };
            match scope.run(next) {
                Ok(Step::Done) => {}
                Ok(Step::Stopped) => return Ok(CycleEnd::Stopped),
                Err(error) if rewards::is_of_plugins(&error) => return self.give_up(cycle.id, error),
                Err(error) => return Err(error),
            }
        }
    }

    fn requeue(&self, cycle: CycleId) -> anyhow::Result<u64> {
        Ok(self.context.registry.requeue(cycle)? as u64)
    }

    fn promote(&self, adapter: &AdapterId, reason: &str) -> anyhow::Result<()> {
        let known =
            self.context.registry.adapter(adapter)?.with_context(|| format!("there is no adapter {adapter}"))?;
        published::verify_adapter(&self.context.state.adapters(), &known.files)?;
        self.context.registry.force_promote(adapter, reason, clock::now_ms())?;
        self.publish_champion()?;
        self.context.telemetry.emit(Decided::Forced(adapter));
        Ok(())
    }

    fn roll_back(&self, to: Option<&AdapterId>) -> anyhow::Result<Option<AdapterId>> {
        self.context.registry.roll_back(to, clock::now_ms())?;
        let champion = self.publish_champion()?;
        self.context.telemetry.emit(Decided::RolledBack(champion.as_ref()));
        Ok(champion)
    }
}

impl Scope<'_> {
    fn run(&self, next: Recorded) -> anyhow::Result<Step> {
        let phase = under_way(next);
        let (cycle, telemetry) = (self.cycle.id, &self.parts.context.telemetry);
        telemetry.emit(PhaseStarted { cycle, phase });
        let started = Instant::now();
        let step = match phase {
            Phase::Collect => collect::run(self),
            Phase::Mix => mix::run(self),
            Phase::Train => train::run(self),
            Phase::Evaluate => evaluate::run(self),
            Phase::Decide => decide::run(self),
            Phase::Publish => publish::run(self),
        }?;
        if step == Step::Done {
            telemetry.emit(PhaseEnded { cycle, phase, took: started.elapsed() });
        }
        Ok(step)
    }
}

/// The work that ends in a recorded phase.
fn under_way(recorded: Recorded) -> Phase {
    match recorded {
        Recorded::Collected => Phase::Collect,
        Recorded::Mixed => Phase::Mix,
        Recorded::Trained => Phase::Train,
        Recorded::Evaluated => Phase::Evaluate,
        Recorded::Decided => Phase::Decide,
        Recorded::Published => Phase::Publish,
    }
}

fn end_of(cycle: &Cycle) -> anyhow::Result<CycleEnd> {
    let candidate = || cycle.candidate.clone().with_context(|| format!("cycle {} has no candidate", cycle.id));
    match &cycle.outcome {
        Some(CycleOutcome::Promoted) => Ok(CycleEnd::Promoted(candidate()?)),
        Some(CycleOutcome::Rejected) => Ok(CycleEnd::Rejected(candidate()?)),
        Some(CycleOutcome::Failed { reason } | CycleOutcome::Aborted { reason }) => bail!("{reason}"),
        None => bail!("cycle {} ended without an outcome", cycle.id),
    }
}
