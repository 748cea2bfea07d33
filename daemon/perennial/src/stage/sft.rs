//! Supervised fine-tuning on the answers of the mix.

use perennial_data::mix::MixRow;
use perennial_learn::{
    adapter::Adapter,
    model::Model,
    tokenize::Encoded,
    train::{self as learner, Outcome, Progress, StopFlag},
};
use tracing::warn;

use super::{Lessons, ObjectiveEnd, Stage, Told, Trained};
use crate::{
    config::Objective,
    failure::{Final, caught},
    telemetry::{SamplesTold, TrainStep},
};

pub(super) fn run(stage: &Stage<'_>, adapter: Option<Adapter>) -> anyhow::Result<ObjectiveEnd> {
    let Stage { folder, manifest, seed, rows, model, stop, telemetry, .. } = stage;
    let (examples, lessons, told) = encode(model, rows, manifest.train.max_length);
    telemetry.emit(SamplesTold(&told));
    if examples.is_empty() {
        let reason = match lessons.skipped.values().next() {
            Some(first) => format!("no sample has anything to learn; the first of {}: {first}", lessons.skipped.len()),
            None => "no sample has an answer to learn".to_owned(),
        };
        let remedy = "raise train.max_length, or send samples with answers; those that were set aside come back with \
                      `perennial requeue`";
        return Ok(ObjectiveEnd::NothingToLearn { why: Final::new(reason, remedy), lessons });
    }
    let items = examples.len();
    let config = manifest.train.learner(*seed);
    let stop = StopFlag::from(stop.flag());
    let mut report = |progress: &Progress| telemetry.emit(step(progress));
    let checkpoints = folder.checkpoints_of(Objective::Sft);
    let outcome = learner::train(model, adapter, examples, &config, &checkpoints, &stop, &mut report)?;
    Ok(match outcome {
        Outcome::Stopped { .. } => ObjectiveEnd::Stopped,
        Outcome::Trained(learner::Trained { adapter, steps, loss, learned, .. }) => {
            let idle = (!learned).then(|| {
                let reason = format!("in none of {steps} steps was there a gradient to follow");
                Final::new(reason, "send samples that the model cannot answer yet")
            });
            let trained = Trained { objective: Objective::Sft, steps, loss, items, learned, told };
            ObjectiveEnd::Trained { adapter, trained, lessons, idle }
        }
    })
}

fn encode(model: &Model, rows: &[MixRow], length_max: usize) -> (Vec<Encoded>, Lessons, Told) {
    let length_max = length_max.min(model.config.positions_max);
    let (mut examples, mut lessons) = (Vec::with_capacity(rows.len()), Lessons::default());
    let mut told = Told::default();
    for MixRow { sample, .. } in rows.iter().filter(|row| row.sample.body.kind().is_supervised()) {
        let encoded = caught(|| model.encode_with_notes(&sample.body, length_max));
        let encoded = encoded.map_err(|panicked| panicked.to_string()).and_then(|encoded| {
            encoded.map_err(|error| {
                told.add_refusal(&error);
                error.to_string()
            })
        });
        // Whatever is wrong with a sample costs that sample alone.
        match encoded {
            Ok((example, notes)) => {
                told.add(notes);
                examples.push(example);
                lessons.learned_from.insert(sample.id);
            }
            Err(reason) => {
                warn!(sample = %sample.id, reason, "sample not trained on");
                lessons.skipped.insert(sample.id, reason);
            }
        }
    }
    (examples, lessons, told)
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
