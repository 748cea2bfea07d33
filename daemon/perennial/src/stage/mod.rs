//! The training stage: a pure function of a folder. `mix.parquet`, `manifest.json`, the parent adapter, the reward plugins
//! and the base model go in; a PEFT folder, metrics and checkpoints come out. Nothing here knows the state directory or the
//! registry, so a stage can be run by hand (`perennial train --cycle DIR`), years later, or on another machine.

mod begin;
mod grpo;
mod manifest;
mod rows;
mod shares;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use perennial_data::mix;
use perennial_learn::{adapter::Adapter, compute::Precision, model::Model, train as learner};
use perennial_types::SampleId;

use self::begin::Beginning;
pub(crate) use self::manifest::{LossShares, StageManifest};
use crate::{
    config::{Objective, TrainStage},
    cycle_folder::CycleFolder,
    failure::Final,
    ports::Stop,
    telemetry::{NothingLearned, Telemetry, Told},
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

/// Runs an objective from an adapter; the reference is the champion's.
type Run = fn(&Stage<'_>, &TrainStage, Option<Adapter>, Option<&Adapter>) -> anyhow::Result<ObjectiveEnd>;

/// The objectives that draw what they learn from, each with its own run. All others learn from rows ([`rows`]).
const DRAWN: [(&str, Run); 1] = [(learner::grpo::NAME, grpo::run)];

fn drawn(objective: Objective) -> anyhow::Result<Run> {
    let found = DRAWN.iter().find(|(name, _)| *name == objective.as_str());
    Ok(found.with_context(|| format!("{} has no run", objective.as_str()))?.1)
}

/// How one objective ended.
enum ObjectiveEnd {
    /// It went through all its steps; `idle` says why they changed nothing, where they did not.
    Trained {
        adapter: Adapter,
        trained: Trained,
        lessons: Lessons,
        idle: Option<Final>,
    },
    /// No sample is for it.
    NothingToLearn {
        why: Final,
        lessons: Lessons,
    },
    Stopped,
}

/// What an objective found among the samples.
#[derive(Default)]
struct Lessons {
    /// Those that it learned from.
    learned_from: BTreeSet<SampleId>,
    /// Those that it should have learned from and could not.
    skipped: Reasons,
    /// Those that it could have learned from, had it taken more steps.
    unseen: BTreeSet<SampleId>,
}

impl Lessons {
    /// Of `samples`, those at each place that it could learn from, with the places that its steps came to.
    fn of<'a>(
        samples: impl IntoIterator<Item = &'a BTreeSet<SampleId>>,
        seen: &BTreeSet<usize>,
        skipped: Reasons,
    ) -> Self {
        let (mut learned_from, mut unseen) = (BTreeSet::new(), BTreeSet::new());
        for (place, samples) in samples.into_iter().enumerate() {
            let side = if seen.contains(&place) { &mut learned_from } else { &mut unseen };
            side.extend(samples);
        }
        unseen.retain(|id| !learned_from.contains(id));
        Self { learned_from, skipped, unseen }
    }
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
    let stage =
        Stage { folder, manifest: &manifest, seed: frozen.seed, rows: &rows, model, stop, telemetry, plugin_cache };
    let Beginning { adapter: first, note } = Beginning::of(parent.as_ref(), &manifest, model, frozen.seed)?;
    let mut run = StageRun { adapter: first.clone(), notes: note.into_iter().collect(), ..StageRun::default() };
    for own in &manifest.stages() {
        let (objective, adapter) = (own.objective, run.adapter.clone());
        let end = match objective.kind().rows() {
            Some(trainer) => rows::run(&stage, own, trainer, adapter, parent.as_ref())?,
            None => drawn(objective)?(&stage, own, adapter, parent.as_ref())?,
        };
        if run.take(objective, end, telemetry) == Progress::Stopped {
            return Ok(StageEnd::Stopped);
        }
    }
    run.finish(&stage, first.as_ref())
}

/// What the objectives came to so far.
#[derive(Default)]
struct StageRun {
    adapter: Option<Adapter>,
    trained: Vec<Trained>,
    learned_from: BTreeSet<SampleId>,
    skipped: Reasons,
    unseen: BTreeSet<SampleId>,
    idle: Vec<(Objective, Final)>,
    notes: Vec<String>,
}

#[derive(PartialEq, Eq)]
enum Progress {
    GoesOn,
    Stopped,
}

impl StageRun {
    fn take(&mut self, objective: Objective, end: ObjectiveEnd, telemetry: &Telemetry) -> Progress {
        let (lessons, idle) = match end {
            ObjectiveEnd::Stopped => return Progress::Stopped,
            ObjectiveEnd::Trained { adapter, trained, lessons, idle } => {
                self.adapter = Some(adapter);
                self.trained.push(trained);
                (lessons, idle)
            }
            ObjectiveEnd::NothingToLearn { why, lessons } => (lessons, Some(why)),
        };
        self.learned_from.extend(lessons.learned_from);
        self.skipped.extend(lessons.skipped);
        self.unseen.extend(lessons.unseen);
        if let Some(why) = idle {
            telemetry.emit(NothingLearned { objective, why: &why });
            self.idle.push((objective, why));
        }
        Progress::GoesOn
    }

    fn finish(mut self, stage: &Stage<'_>, first: Option<&Adapter>) -> anyhow::Result<StageEnd> {
        let (learned_from, unseen) = (&self.learned_from, &mut self.unseen);
        unseen.retain(|id| !learned_from.contains(id));
        self.skipped.retain(|id, _| !learned_from.contains(id) && !unseen.contains(id));
        let learned_nothing = self.idle.iter().map(|(objective, why)| format!("{}: {why}", objective.as_str()));
        let told = self.trained.iter().flat_map(|trained| {
            let objective = trained.objective.as_str();
            let counted = trained.told.iter();
            let counted =
                counted.map(move |(_, samples, meaning)| format!("{objective}: {samples} samples: {meaning}"));
            counted.chain(trained.notes.iter().map(move |note| format!("{objective}: {note}")))
        });
        let notes = self.notes.iter().cloned().chain(learned_nothing).chain(told).collect();
        let candidate = match self.adapter {
            Some(adapter) if self.trained.iter().any(|trained| trained.learned) => adapter,
            _ => return Ok(StageEnd::Idle(idle(self.idle, self.skipped, stage))),
        };
        let unchanged = match first {
            Some(first) => first.fingerprint()? == candidate.fingerprint()?,
            None => candidate.has_no_effect(stage.model)?,
        };
        if unchanged {
            let why = Final::new(
                "training ended where it began: not one number of the adapter changed",
                "raise train.learning_rate, or take more steps",
            );
            return Ok(StageEnd::Idle(Idle { why, skipped: self.skipped }));
        }
        candidate.save_peft(&stage.folder.candidate(), &stage.manifest.base_name)?;
        let (manifest, skipped, unseen) = (stage.manifest.clone(), self.skipped, self.unseen);
        Ok(StageEnd::Trained(Box::new(TrainedStage { manifest, trained: self.trained, skipped, unseen, notes })))
    }
}

/// Why none of the objectives learned anything.
fn idle(idle: Vec<(Objective, Final)>, skipped: Reasons, stage: &Stage<'_>) -> Idle {
    let reasons: Vec<String> = idle.iter().map(|(objective, why)| format!("{}: {why}", objective.as_str())).collect();
    let mut remedies: Vec<&str> = idle.iter().map(|(_, why)| why.remedy.as_str()).collect();
    remedies.dedup();
    let reason =
        format!("nothing was learned from the {} samples of the mix: {}", stage.rows.len(), reasons.join("; "));
    Idle { why: Final::new(reason, remedies.join("; ")), skipped }
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
