//! The training stage: a pure function of a folder. `mix.parquet`, `manifest.json`, the parent adapter, the reward plugins
//! and the base model go in; a PEFT folder, metrics and checkpoints come out. Nothing here knows the state directory or the
//! registry, so a stage can be run by hand (`perennial train --cycle DIR`), years later, or on another machine.

mod grpo;
mod manifest;
mod sft;

use std::path::Path;

use anyhow::{Context as _, bail};
use perennial_data::mix;
use perennial_learn::{adapter::Adapter, compute::Precision, model::Model};

pub(crate) use self::manifest::{GrpoStage, StageManifest};
use crate::{config::Objective, cycle::CycleFolder, ports::Stop, telemetry::Telemetry};

/// How a run of the stage ended.
pub(crate) enum StageEnd {
    /// The adapter is in `candidate/`.
    Trained(Box<TrainedStage>),
    /// Told to stop; a checkpoint is there, and the next run goes on from it.
    Stopped,
}

/// What the stage did.
pub(crate) struct TrainedStage {
    /// What it was told to do.
    pub(crate) manifest: StageManifest,
    /// One entry per objective that had something to learn from, in order.
    pub(crate) trained: Vec<Trained>,
    /// Samples of the mix that no objective could learn from.
    pub(crate) skipped: usize,
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
}

/// What every objective works with.
struct Stage<'a> {
    folder: &'a CycleFolder,
    manifest: &'a StageManifest,
    seed: u64,
    rows: &'a [mix::MixRow],
    model: &'a Model,
    stop: &'a Stop,
    telemetry: &'a Telemetry,
    /// Where compiled plugins are kept, if anywhere.
    plugin_cache: Option<&'a Path>,
}

/// How one objective ended.
enum ObjectiveEnd {
    Trained { adapter: Adapter, trained: Trained },
    NothingToLearn,
    Stopped,
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
    if manifest.base != model.fingerprint {
        bail!(
            "the mix was frozen for a base model with fingerprint {}, this one has {}",
            manifest.base,
            model.fingerprint
        );
    }
    if manifest.precision.resolve() != model.decoder.precision() {
        let (frozen, model) = (manifest.precision.resolve().as_str(), model.decoder.precision().as_str());
        bail!(
            "the mix was frozen to be computed in {frozen}, this model is in {model}: set model.precision = \"{frozen}\""
        );
    }
    let parent = manifest.parent.as_ref().map(|_| Adapter::load_peft(&folder.parent())).transpose()?;
    let stage =
        Stage { folder, manifest: &manifest, seed: frozen.seed, rows: &rows, model, stop, telemetry, plugin_cache };
    let (mut adapter, mut done) = (parent.clone(), Vec::new());
    for objective in &manifest.train.objectives {
        let end = match objective {
            Objective::Sft => sft::run(&stage, adapter.clone())?,
            Objective::Grpo => grpo::run(&stage, adapter.clone(), parent.as_ref())?,
        };
        match end {
            ObjectiveEnd::Trained { adapter: next, trained } => {
                adapter = Some(next);
                done.push(trained);
            }
            ObjectiveEnd::NothingToLearn => {}
            ObjectiveEnd::Stopped => return Ok(StageEnd::Stopped),
        }
    }
    let candidate = adapter.filter(|_| !done.is_empty());
    let candidate = candidate.with_context(|| {
        format!(
            "none of the {} samples of the mix has anything to learn for {} within train.max_length and the model's context",
            rows.len(),
            manifest.train.objectives.iter().map(|objective| objective.as_str()).collect::<Vec<_>>().join(" and ")
        )
    })?;
    candidate.save_peft(&folder.candidate(), &manifest.base_name)?;
    let skipped = rows.len().saturating_sub(done.iter().map(|trained| trained.items).max().unwrap_or(0));
    Ok(StageEnd::Trained(Box::new(TrainedStage { manifest, trained: done, skipped })))
}
