//! Supervised fine-tuning on the answers of the mix.

use perennial_data::mix::MixRow;
use perennial_learn::{
    adapter::Adapter,
    model::Model,
    tokenize::{self, EncodeError, Encoded},
    train::{self as learner, Outcome, Progress, StopFlag},
};
use tracing::warn;

use super::{ObjectiveEnd, Stage, Trained};
use crate::{config::Objective, telemetry::TrainStep};

pub(super) fn run(stage: &Stage<'_>, adapter: Option<Adapter>) -> anyhow::Result<ObjectiveEnd> {
    let Stage { folder, manifest, seed, rows, model, stop, telemetry, .. } = stage;
    let examples = encode(model, rows, manifest.train.max_length)?;
    if examples.is_empty() {
        return Ok(ObjectiveEnd::NothingToLearn);
    }
    let items = examples.len();
    let config = manifest.train_config(*seed);
    let stop = StopFlag::from(stop.flag());
    let mut report = |progress: &Progress| telemetry.emit(step(progress));
    let checkpoints = folder.checkpoints_of(Objective::Sft);
    let outcome = learner::train(model, adapter, examples, &config, &checkpoints, &stop, &mut report)?;
    Ok(match outcome {
        Outcome::Stopped { .. } => ObjectiveEnd::Stopped,
        Outcome::Trained(learner::Trained { adapter, steps, loss, .. }) => {
            ObjectiveEnd::Trained { adapter, trained: Trained { objective: Objective::Sft, steps, loss, items } }
        }
    })
}

fn encode(model: &Model, rows: &[MixRow], length_max: usize) -> anyhow::Result<Vec<Encoded>> {
    let Model { tokenizer, template, config, .. } = model;
    let length_max = length_max.min(config.positions_max);
    let mut examples = Vec::with_capacity(rows.len());
    for MixRow { sample, .. } in rows.iter().filter(|row| row.sample.body.kind().is_supervised()) {
        match tokenize::encode(&sample.body, tokenizer, template, length_max) {
            Ok(example) => examples.push(example),
            // What is wrong with the model is wrong with every sample; what is wrong with a sample costs that sample.
            Err(error @ (EncodeError::NoChatTemplate | EncodeError::Tokenizer(_))) => return Err(error.into()),
            Err(error) => warn!(sample = %sample.id, reason = %error, "sample not trained on"),
        }
    }
    Ok(examples)
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
