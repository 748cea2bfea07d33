//! The training stage: a pure function of a folder. `mix.parquet`, `manifest.json`, the parent adapter, the reward plugins
//! and the base model go in; a PEFT folder, metrics and checkpoints come out. Nothing here knows the state directory or the
//! registry, so a stage can be run by hand (`perennial train --cycle DIR`), years later, or on another machine.

mod begin;
mod consolidate;
mod fisher;
mod grpo;
mod interpolate;
mod manifest;
mod objective_end;
mod optimizer;
mod orthogonal;
mod penalty;
mod rows;
mod shares;
mod spectrum;
mod stage_run;
mod validation;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use perennial_data::mix;
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    compute::Precision,
    model::Model,
    train::{self as learner, Past, TrainConfig},
};
use perennial_types::{Kind, SampleId};
use serde_json::Value;

pub(crate) use self::manifest::{Consolidation, LossShares, StageManifest};
use self::{
    begin::Beginning,
    consolidate::SlowStep,
    interpolate::Interpolation,
    objective_end::{Lessons, ObjectiveEnd},
    optimizer::Carried,
    orthogonal::{Beside, Orthogonal},
    stage_run::{Progress, StageRun},
    validation::Divided,
};
use crate::{
    config::{Objective, TrainStage},
    cycle_folder::CycleFolder,
    failure::Final,
    ports::Stop,
    telemetry::{Telemetry, Told},
};

/// How a run of the stage ended.
pub(crate) enum StageEnd {
    /// The adapter is in `candidate/`.
    Trained(Box<TrainedStage>),
    /// Nothing was learned, and there is no candidate.
    Idle(Idle),
    /// Told to stop; a checkpoint is there, and the next run goes on from it.
    Stopped,
}

/// What the stage did.
pub(crate) struct TrainedStage {
    /// What it was told to do.
    pub(crate) manifest: StageManifest,
    /// One entry per objective that had something to learn from, in order.
    pub(crate) trained: Vec<Trained>,
    /// Samples of the mix that no objective could learn from, each with the reason.
    pub(crate) skipped: Reasons,
    /// Samples of the mix that could be learned from and that no step came to.
    pub(crate) unseen: BTreeSet<SampleId>,
    /// What became of a pair that was trained beside the champion.
    pub(crate) orthogonal: Option<Orthogonal>,
    /// How the candidate was consolidated, where it was.
    pub(crate) consolidation: Option<SlowStep>,
    /// How far the candidate is from the champion, where that was chosen.
    pub(crate) interpolation: Option<Interpolation>,
    /// Norm and stable rank of the candidate's change, by the kind of layer.
    pub(crate) spectrum: Value,
    /// What whoever reads the report should know.
    pub(crate) notes: Vec<String>,
}

/// Samples that cannot be learned from, and why.
pub(crate) type Reasons = BTreeMap<SampleId, String>;

/// A run that learned nothing.
pub(crate) struct Idle {
    /// What kept it from learning.
    pub(crate) why: Final,
    /// The samples that are to blame, where it is the samples.
    pub(crate) skipped: Reasons,
}

impl TrainedStage {
    /// Optimiser steps in all.
    pub(crate) fn steps(&self) -> u64 {
        self.trained.iter().map(|trained| trained.steps).sum()
    }
}

/// What one objective did.
#[derive(Clone, Debug, serde::Serialize)]
pub(crate) struct Trained {
    /// Which.
    pub(crate) objective: Objective,
    /// Optimiser steps.
    pub(crate) steps: u64,
    /// The loss of the last step.
    pub(crate) loss: Option<f64>,
    /// Examples or prompts that it learned from.
    pub(crate) items: usize,
    /// Whether there was anything to learn in them.
    pub(crate) learned: bool,
    /// What is to be told of how they were read.
    #[serde(skip_serializing_if = "Told::is_empty")]
    pub(crate) told: Told,
    /// What else the report should say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
    /// What validation said.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(crate) validation: Value,
}

/// What every objective works with.
struct Stage<'a> {
    folder: &'a CycleFolder,
    manifest: &'a StageManifest,
    seed: u64,
    /// The shape of what is trained, which a candidate may be brought back from.
    shape: LoraConfig,
    /// What is trained on.
    rows: &'a [mix::MixRow],
    /// What penalties hold to.
    past: Past<'a>,
    /// What AdamW begins with.
    carried: &'a Carried,
    /// What is validated on; nothing where that is off.
    validation: &'a [mix::MixRow],
    model: &'a Model,
    stop: &'a Stop,
    telemetry: &'a Telemetry,
    /// Where compiled plugins are kept, if anywhere.
    plugin_cache: Option<&'a Path>,
}

impl<'a> Stage<'a> {
    /// How to optimise what is trained, whatever the objective.
    fn learner(&self) -> TrainConfig {
        TrainConfig { lora: self.shape.clone(), ..self.manifest.learner(self.seed) }
    }

    /// What is left of earlier cycles for the run of an objective.
    fn past_of(&self, objective: Objective) -> Past<'a> {
        Past { optimizer: self.carried.of(objective), ..self.past }
    }
}

/// Runs an objective from an adapter; the reference is the champion's.
type Run = fn(&Stage<'_>, &TrainStage, Option<Adapter>, Option<&Adapter>) -> anyhow::Result<ObjectiveEnd>;

/// The objectives that draw what they learn from, each with its own run. All others learn from rows ([`rows`]).
const DRAWN: [(&str, Run); 1] = [(learner::grpo::NAME, grpo::run)];

fn drawn(objective: Objective) -> anyhow::Result<Run> {
    let found = DRAWN.iter().find(|(name, _)| *name == objective.as_str());
    Ok(found.with_context(|| format!("{} has no run", objective.as_str()))?.1)
}

/// What the candidate of this folder is to be computed in.
///
/// # Errors
/// Where the folder's manifest cannot be read.
pub(crate) fn precision_of(folder: &CycleFolder) -> anyhow::Result<Precision> {
    Ok(StageManifest::read(&mix::read_manifest(folder.path())?)?.precision.resolve())
}

/// Trains one objective after the other, from the beginning or from the last checkpoint, and returns once the candidate is
/// on disk. Compiled plugins are kept in `plugin_cache`, where there is one.
///
/// # Errors
/// Where the folder is not whole, the base model is another one, or training fails.
pub(crate) fn run(
    folder: &CycleFolder,
    model: &Model,
    stop: &Stop,
    telemetry: &Telemetry,
    plugin_cache: Option<&Path>,
) -> anyhow::Result<StageEnd> {
    let (frozen, rows) = mix::read_mix(folder.path())?;
    let manifest = StageManifest::read(&frozen)?;
    check_model(&manifest, model)?;
    let model = &model.with_prompt_as_chat(manifest.prompt_as_chat);
    let parent = manifest.parent.as_ref().map(|_| Adapter::load_peft(&folder.parent())).transpose()?;
    let stages = manifest.stages();
    let Divided { training, validation, note: undivided } = divide(rows, &manifest, &stages);
    let (seed, rows, validation) = (frozen.seed, training.as_slice(), validation.as_slice());
    let Beginning { adapter: first, note } = Beginning::of(parent.as_ref(), &manifest, model, frozen.seed)?;
    let fisher = fisher::of_parent(folder, &manifest, first.as_ref())?;
    let carried = Carried::of_parent(folder, &manifest, &stages, first.as_ref())?;
    let beside = orthogonal::beside(first.as_ref(), &manifest, model, seed)?;
    let frozen_rank = beside.as_ref().map_or(0, |beside| beside.frozen_rank);
    let shape = beside.as_ref().map_or_else(|| manifest.train.lora(), |beside| beside.adapter.config().clone());
    let past = Past { champion: first.as_ref(), fisher: fisher.as_ref(), frozen_rank, optimizer: None };
    let begun = beside.map(|Beside { adapter, .. }| adapter).or_else(|| first.clone());
    let stage = Stage {
        folder,
        manifest: &manifest,
        seed,
        shape,
        rows,
        past,
        carried: &carried,
        validation,
        model,
        stop,
        telemetry,
        plugin_cache,
    };
    let told = penalty::unheld(&stage).into_iter().chain(carried.notes.iter().cloned());
    let mut run = StageRun::new(begun, note.into_iter().chain(undivided).chain(told).collect());
    for own in &stages {
        let (objective, adapter) = (own.objective, run.adapter.clone());
        let end = match objective.kind().rows() {
            Some(trainer) => rows::run(&stage, own, trainer, adapter, parent.as_ref())?,
            None => drawn(objective)?(&stage, own, adapter, parent.as_ref())?,
        };
        if run.take(objective, end, telemetry) == Progress::Stopped {
            return Ok(StageEnd::Stopped);
        }
    }
    run.bring_back(&stage)?;
    if run.place(&stage, &stages, parent.as_ref())? == Progress::Stopped {
        return Ok(StageEnd::Stopped);
    }
    run.finish(&stage, &stages, parent.as_ref())
}

/// Sets apart what is validated on, of the kinds that an objective learns from as they are.
fn divide(rows: Vec<mix::MixRow>, manifest: &StageManifest, stages: &[TrainStage]) -> Divided {
    let of_rows = stages.iter().map(|own| own.objective.kind()).filter(|kind| kind.rows().is_some());
    let kinds: Vec<Kind> = of_rows.flat_map(|kind| kind.kinds()).copied().collect();
    validation::divide(rows, manifest.train.validation_fraction, &kinds)
}

/// That a base model is the one that the mix was frozen for.
fn check_model(manifest: &StageManifest, model: &Model) -> anyhow::Result<()> {
    if manifest.base != model.fingerprint {
        let (frozen, found) = (manifest.base, model.fingerprint);
        let reason = format!("the mix was frozen for a base model with fingerprint {frozen}, this one has {found}");
        bail!(Final::new(reason, "set model.base back, or let the next cycle begin with the new one"));
    }
    if manifest.precision.resolve() != model.decoder.precision() {
        let (frozen, model) = (manifest.precision.resolve().as_str(), model.decoder.precision().as_str());
        let reason = format!("the mix was frozen to be computed in {frozen}, this model is in {model}");
        bail!(Final::new(reason, format!("set model.precision = \"{frozen}\"")));
    }
    Ok(())
}
