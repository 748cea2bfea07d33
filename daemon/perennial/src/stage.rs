//! The training stage: a pure function of a folder. `mix.parquet`, `manifest.json`, the parent adapter and the base model go
//! in; a PEFT folder, `metrics.jsonl` and checkpoints come out. Nothing here knows the state directory or the registry, so
//! a stage can be run by hand (`perennial train --cycle DIR`), years later, or on another machine.

use std::thread;

use anyhow::{Context as _, anyhow, bail};
use perennial_data::mix::{self, Manifest, MixRow};
use perennial_learn::{
    adapter::{Adapter, LoraConfig},
    model::Model,
    tokenize::{self, EncodeError, Encoded},
    train::{self as learner, Outcome, Progress, StopFlag, TRAINING_STACK_BYTES, TrainConfig, Trained},
};
use perennial_types::{AdapterId, CycleId, Fingerprint};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tracing::warn;

use crate::{
    config,
    cycle::CycleFolder,
    ports::Stop,
    telemetry::{Telemetry, TrainStep},
};

/// Supervised fine-tuning, as the manifest names it.
pub(crate) const OBJECTIVE_SFT: &str = "sft";

/// What the manifest of a mix says beside the mix itself: all that determines the adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageManifest {
    /// The cycle that the mix was frozen for.
    pub(crate) cycle: CycleId,
    /// What is minimised.
    pub(crate) objective: String,
    /// The fingerprint of the base model's weights.
    pub(crate) base: Fingerprint,
    /// The base model's name, for `adapter_config.json`.
    pub(crate) base_name: String,
    /// The adapter in `parent/` that training goes on from; `None` starts afresh.
    pub(crate) parent: Option<AdapterId>,
    /// How to train.
    pub(crate) train: config::Train,
}

impl StageManifest {
    /// As fields of the manifest.
    pub(crate) fn fields(&self) -> anyhow::Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(fields) => Ok(fields),
            _ => bail!("a manifest is an object"),
        }
    }

    fn read(manifest: &Manifest) -> anyhow::Result<Self> {
        serde_json::from_value(Value::Object(manifest.extra.clone())).context("the manifest names no training stage")
    }
}

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
    /// Optimiser steps in all.
    pub(crate) steps: u64,
    /// The loss of the last step.
    pub(crate) loss: Option<f64>,
    /// Samples of the mix that nothing could be learned from.
    pub(crate) skipped: usize,
}

/// Trains, from the beginning or from the last checkpoint, and returns once the candidate is on disk.
///
/// # Errors
/// Where the folder is not whole, the base model is another one, or training fails.
pub(crate) fn run(folder: &CycleFolder, model: &Model, stop: &Stop, telemetry: &Telemetry) -> anyhow::Result<StageEnd> {
    let (manifest, rows) = mix::read_mix(folder.path())?;
    let stage = StageManifest::read(&manifest)?;
    if stage.objective != OBJECTIVE_SFT {
        bail!("the objective {:?} is not known; this version trains {OBJECTIVE_SFT:?}", stage.objective);
    }
    if stage.base != model.fingerprint {
        bail!(
            "the mix was frozen for a base model with fingerprint {}, this one has {}",
            stage.base,
            model.fingerprint
        );
    }
    let parent = stage.parent.as_ref().map(|_| Adapter::load_peft(&folder.parent())).transpose()?;
    let examples = encode(model, &rows, stage.train.max_length)?;
    let skipped = rows.len() - examples.len();
    let config = train_config(&stage.train, manifest.seed);
    let outcome = on_training_thread(|| {
        let stop = StopFlag::from(stop.flag());
        let mut report = |progress: &Progress| telemetry.emit(step(progress));
        learner::train(model, parent, examples, &config, &folder.checkpoints(), &stop, &mut report)
    })?;
    let Trained { adapter, steps, loss, .. } = match outcome {
        Outcome::Stopped { .. } => return Ok(StageEnd::Stopped),
        Outcome::Trained(trained) => trained,
    };
    adapter.save_peft(&folder.candidate(), &stage.base_name)?;
    Ok(StageEnd::Trained(Box::new(TrainedStage { manifest: stage, steps, loss, skipped })))
}

fn encode(model: &Model, rows: &[MixRow], length_max: usize) -> anyhow::Result<Vec<Encoded>> {
    let Model { tokenizer, template, config, .. } = model;
    let length_max = length_max.min(config.positions_max);
    let mut examples = Vec::with_capacity(rows.len());
    for MixRow { sample, .. } in rows {
        match tokenize::encode(&sample.body, tokenizer, template, length_max) {
            Ok(example) => examples.push(example),
            // What is wrong with the model is wrong with every sample; what is wrong with a sample costs that sample.
            Err(error @ (EncodeError::NoChatTemplate | EncodeError::Tokenizer(_))) => return Err(error.into()),
            Err(error) => warn!(sample = %sample.id, reason = %error, "sample not trained on"),
        }
    }
    if examples.is_empty() {
        bail!("none of the {} samples of the mix has anything to learn within train.max_length", rows.len());
    }
    Ok(examples)
}

/// Backward passes recurse as deep as the model is, deeper than the stack of an ordinary thread.
fn on_training_thread<T: Send, E: Into<anyhow::Error> + Send>(
    work: impl FnOnce() -> Result<T, E> + Send,
) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("training".to_owned()).stack_size(TRAINING_STACK_BYTES);
        let thread = builder.spawn_scoped(scope, work).context("the training thread cannot be started")?;
        match thread.join() {
            Ok(outcome) => outcome.map_err(Into::into),
            Err(_) => Err(anyhow!("the training thread panicked; its message is in the log")),
        }
    })
}

fn step(progress: &Progress) -> TrainStep {
    TrainStep {
        step: progress.step,
        steps: progress.steps,
        loss: progress.loss,
        learning_rate: progress.learning_rate,
        tokens: progress.tokens,
        tokens_per_second: progress.tokens_per_second,
    }
}

fn train_config(train: &config::Train, seed: u64) -> TrainConfig {
    TrainConfig {
        lora: LoraConfig { r: train.r, alpha: train.alpha, use_rslora: train.use_rslora, ..LoraConfig::default() },
        seed,
        batch_size: train.batch_size,
        tokens_per_micro_batch: train.micro_batch_tokens,
        epochs: train.epochs,
        steps_max: train.steps_max,
        learning_rate: train.learning_rate,
        schedule: match train.schedule {
            config::Schedule::Linear => learner::Schedule::Linear,
            config::Schedule::Cosine => learner::Schedule::Cosine,
            config::Schedule::Constant => learner::Schedule::Constant,
        },
        warmup_ratio: train.warmup_ratio,
        weight_decay: train.weight_decay,
        gradient_norm_max: train.max_grad_norm,
        checkpoint_interval_steps: train.checkpoint_steps,
        ..TrainConfig::default()
    }
}
