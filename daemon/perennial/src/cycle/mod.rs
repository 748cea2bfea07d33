//! One cycle, phase by phase: `collected → mixed → trained → evaluated → decided → published`.
//!
//! A phase writes its output into the cycle's folder, syncs it, and then records itself in the registry in one transaction.
//! After a crash the cycle goes on behind the last recorded phase, and a phase that finds its own output half done goes on
//! from there, so that every run of a cycle ends the same.

mod anchor;
mod anew;
mod batches;
mod collect;
mod copied;
mod decide;
mod draw;
mod drift;
mod evaluate;
mod fallen;
mod golden;
pub(crate) mod held_out;
mod hold;
mod leaks;
mod learned;
mod losses;
mod mix;
pub(crate) mod notes;
mod policy;
pub(crate) mod preflight;
mod publish;
mod ratio;
mod run;
mod scores;
pub(crate) mod side;
mod slow;
mod space;
mod suites;
mod train;
mod twins;
mod vault;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, bail};
use perennial_drift::Cause;
use perennial_gate::Report;
use perennial_learn::model::Model;
use perennial_registry::{Cycle, Fresh, HoldAnswer, NewCycle, Phase as Recorded};
use perennial_types::{AdapterId, CycleId};

use crate::{
    answers::Held,
    clock,
    config::{self, Config},
    cycle_folder::CycleFolder,
    drift::StateDrift,
    engine::Engine,
    indexer::StateIndexer,
    ports::{Context, CycleEnd, Cycles, NothingToDo, Stop, Waiting},
    replay::BufferLock,
    telemetry::{Decided, HoldAnswered, NextCycleDoubts, Phase, PhaseEnded, PhaseStarted, SetAsideCount},
    untrained,
};

use self::{anew::decide_anew, golden::GoldenFiles};
pub(crate) use self::{
    policy::policy,
    suites::{check_golden, golden_suite},
};

/// [`Cycles`] of a state directory.
pub(crate) struct StateCycles {
    context: Context,
    engine: Engine,
    buffer: BufferLock,
    indexer: StateIndexer,
    drift: StateDrift,
    golden: GoldenFiles,
    /// The base model that a cycle was begun with, until its run takes hold of it.
    warm: Mutex<Option<Arc<Model>>>,
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
    /// A person's word is waited for.
    Held,
}

impl StateCycles {
    pub(crate) fn new(context: Context, engine: Engine, buffer: BufferLock) -> Self {
        let indexer = StateIndexer::new(context.clone(), engine.clone(), buffer.clone());
        let drift = StateDrift::new(context.clone(), engine.clone(), buffer.clone());
        Self { context, engine, buffer, indexer, drift, golden: GoldenFiles::default(), warm: Mutex::default() }
    }

    fn warm(&self, model: Option<Arc<Model>>) -> Option<Arc<Model>> {
        std::mem::replace(&mut *self.warm.lock().unwrap_or_else(PoisonError::into_inner), model)
    }

    /// Why no cycle can be begun, where nothing waits that could be trained on.
    fn nothing_waits(&self, config: &Config) -> anyhow::Result<()> {
        let registry = &self.context.registry;
        let doubts = preflight::unscored(config, registry, &registry.sample_counts()?)?;
        let aside = registry.set_aside_count()?;
        let aside = match aside {
            0 => String::new(),
            count => format!(
                "; {count} samples are set aside, `perennial quarantine list` says why (`perennial requeue` gives them back)"
            ),
        };
        let untrained = untrained::waiting(config, registry)?;
        let untrained = untrained.iter().map(|found| format!("; {found}"));
        let doubts: String = doubts.iter().map(|doubt| format!("; {doubt}")).chain(untrained).collect();
        bail!(NothingToDo(format!("no new samples wait: ingest some{doubts}{aside}")))
    }

    /// Whether a cycle on samples of a refused one would be anything else than the same with another seed.
    fn would_be_another_try(&self, config: &Config) -> anyhow::Result<bool> {
        let Some(refused) = self.context.registry.last_refused()? else { return Ok(true) };
        let refused = self.load(refused)?;
        let golden = golden::noted(&refused);
        if config::read_frozen(refused.config).map_or(true, |then| then.teaches_otherwise(config)) {
            return Ok(true);
        }
        Ok(golden.zip(self.golden.ask(config)).is_some_and(|(then, now)| then != now))
    }

    fn load(&self, cycle: CycleId) -> anyhow::Result<Cycle> {
        self.context.registry.cycle(cycle)?.with_context(|| format!("there is no cycle {cycle}"))
    }
}

impl Cycles for StateCycles {
    fn waiting(&self) -> anyhow::Result<Waiting> {
        let config = self.context.config.current();
        let (kinds, domains) = (config.trained_kinds(), config.trained_domains());
        let Fresh { count, refused, oldest_ms, oldest_new_ms } =
            self.context.registry.fresh(&kinds, domains.as_ref())?;
        if refused == 0 || self.would_be_another_try(&config)? {
            return Ok(Waiting { samples: count, refused: 0, oldest_ms });
        }
        Ok(Waiting { samples: count, refused, oldest_ms: oldest_new_ms })
    }

    fn unfinished(&self) -> anyhow::Result<Option<CycleId>> {
        Ok(self.context.registry.open_cycle()?.map(|cycle| cycle.id))
    }

    fn check(&self, config: &Config) -> anyhow::Result<()> {
        self.context.telemetry.emit(NextCycleDoubts(&preflight::doubts(config, &self.context.registry)?));
        preflight::check(config, &self.context)
    }

    fn doubts(&self) -> anyhow::Result<Vec<String>> {
        preflight::doubts(&self.context.config.current(), &self.context.registry)
    }

    fn begin(&self, cause: Cause) -> anyhow::Result<CycleId> {
        let config = self.context.config.current();
        if self.waiting()?.samples == 0 {
            self.nothing_waits(&config)?;
        }
        self.check(&config)?;
        let model = self.engine.model(&config.model)?;
        preflight::base(&config, &model, &self.context.registry)?;
        let number = self.context.registry.cycles(1)?.first().map_or(0, |last| last.id.0);
        let new = NewCycle {
            reason: cause.as_str().to_owned(),
            config: serde_json::to_value(&*config)?,
            seed: config.cycle.seed.wrapping_add(number),
        };
        let cycle = self.context.registry.begin_cycle(&new, clock::now_ms())?;
        self.warm(Some(model));
        Ok(cycle)
    }

    fn run(&self, cycle: CycleId, stop: &Stop) -> anyhow::Result<CycleEnd> {
        self.attempt(cycle, stop)
    }

    fn request_abort(&self, cycle: CycleId, reason: &str) -> anyhow::Result<()> {
        Ok(self.context.registry.request_abort(cycle, reason)?)
    }

    fn held(&self) -> anyhow::Result<Option<Held>> {
        hold::held(&self.context)
    }

    fn answer_hold(&self, cycle: CycleId, approves: bool, reason: &str) -> anyhow::Result<()> {
        let answer = HoldAnswer { approves, reason: reason.to_owned(), at_ms: clock::now_ms() };
        self.context.registry.answer_hold(cycle, &answer)?;
        self.context.telemetry.emit(HoldAnswered { cycle, approves, reason });
        Ok(())
    }

    fn decide_anew(&self, cycle: CycleId) -> anyhow::Result<Report> {
        let Context { config, state, registry, .. } = &self.context;
        decide_anew(&config.current(), state, registry, cycle)
    }

    fn requeue(&self, cycle: CycleId) -> anyhow::Result<u64> {
        let requeued = self.context.registry.requeue(cycle)? as u64;
        self.context.telemetry.emit(SetAsideCount(self.context.registry.set_aside_count()?));
        Ok(requeued)
    }

    fn promote(&self, adapter: &AdapterId, reason: &str) -> anyhow::Result<()> {
        if self.context.registry.adapter(adapter)?.is_some() && !self.context.state.adapter(adapter).exists() {
            bail!(
                "the files of adapter {adapter} are gone: it was rejected, and cycle.adapters_keep newer ones were too"
            );
        }
        self.context.publishing.promote(adapter, reason)?;
        self.context.telemetry.emit(Decided::Forced(adapter));
        Ok(())
    }

    fn roll_back(&self, to: Option<&AdapterId>) -> anyhow::Result<Option<AdapterId>> {
        let champion = self.context.publishing.roll_back(to)?;
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
