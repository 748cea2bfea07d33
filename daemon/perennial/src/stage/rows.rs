//! Learning from the rows of the mix: the same for every objective that does.

use std::collections::BTreeSet;

use perennial_data::mix::{MixRow, Origin};
use perennial_learn::{
    adapter::Adapter,
    model::Model,
    tokenize::Encoded,
    train::{
        self as learner, Outcome, Progress, StopFlag,
        objective::{RowRun, RowTrainer},
    },
};
use perennial_types::SampleId;
use tracing::warn;

use super::{Lessons, ObjectiveEnd, Reasons, Stage, Trained, shares};
use crate::{
    config::{Objective, TrainStage},
    failure::{Final, caught},
    telemetry::{RowStep, SamplesTold, Told},
};

/// Goes on from `adapter`; an objective that compares does so with `reference`, the champion, or else with the base model.
pub(super) fn run(
    stage: &Stage<'_>,
    own: &TrainStage,
    trainer: &dyn RowTrainer,
    adapter: Option<Adapter>,
    reference: Option<&Adapter>,
) -> anyhow::Result<ObjectiveEnd> {
    let Stage { folder, manifest, seed, rows, model, stop, telemetry, .. } = stage;
    let objective = own.objective;
    let Read { units, origins, samples, skipped, told } =
        read(model, rows, objective, trainer, manifest.train.max_length);
    telemetry.emit(SamplesTold(&told));
    if units.is_empty() {
        let lessons = Lessons { skipped, ..Lessons::default() };
        return Ok(ObjectiveEnd::NothingToLearn { why: nothing_to_learn(objective, &lessons), lessons });
    }
    let items = units.len();
    let (shares, notes) = shares::of(manifest, &origins).unzip();
    let run = RowRun {
        model,
        parent: adapter,
        reference,
        units,
        shares,
        keys: &own.keys,
        train: &manifest.train.learner(*seed),
        checkpoint_dir: &folder.checkpoints_of(objective.as_str()),
        stop: &StopFlag::from(stop.flag()),
    };
    let mut report = |progress: &Progress| telemetry.emit(RowStep { objective, progress });
    Ok(match trainer.train(run, &mut report)? {
        Outcome::Stopped { .. } => ObjectiveEnd::Stopped,
        Outcome::Trained(learner::Trained { adapter, steps, loss, learned, seen, .. }) => {
            let lessons = Lessons::of(&samples, &seen, skipped);
            let idle = (!learned).then(|| {
                let reason = format!("in none of {steps} steps was there a gradient to follow");
                Final::new(reason, "send samples that the model cannot answer yet")
            });
            let notes = notes.unwrap_or_default();
            let trained = Trained { objective, steps, loss, items, learned, told, notes };
            ObjectiveEnd::Trained { adapter, trained, lessons, idle }
        }
    })
}

fn nothing_to_learn(objective: Objective, lessons: &Lessons) -> Final {
    let kinds: Vec<&str> = objective.kind().kinds().iter().map(|kind| kind.as_str()).collect();
    let reason = match lessons.skipped.values().next() {
        Some(first) => format!("no sample has anything to learn; the first of {}: {first}", lessons.skipped.len()),
        None => format!("no sample is of a kind that it learns from: {}", kinds.join(", ")),
    };
    let remedy = "raise train.max_length, or send samples of these kinds; those that were set aside come back with \
                  `perennial requeue`";
    Final::new(reason, remedy)
}

/// The rows of an objective.
#[derive(Default)]
struct Read {
    units: Vec<Vec<Encoded>>,
    /// Where the sample of each unit comes from.
    origins: Vec<Origin>,
    /// The sample of each unit.
    samples: Vec<BTreeSet<SampleId>>,
    skipped: Reasons,
    told: Told,
}

fn read(model: &Model, rows: &[MixRow], objective: Objective, trainer: &dyn RowTrainer, length_max: usize) -> Read {
    let length_max = length_max.min(model.config.positions_max);
    let mut read = Read::default();
    let kinds = objective.kind().kinds();
    for MixRow { sample, origin } in rows.iter().filter(|row| kinds.contains(&row.sample.body.kind())) {
        let encoded = caught(|| trainer.encode(model, &sample.body, length_max));
        let encoded = encoded.map_err(|panicked| panicked.to_string()).and_then(|encoded| {
            encoded.map_err(|error| {
                read.told.add_refusal(&error);
                error.to_string()
            })
        });
        // Whatever is wrong with a sample costs that sample alone.
        match encoded {
            Ok((unit, notes)) => {
                read.told.add(notes);
                read.units.push(unit);
                read.origins.push(*origin);
                read.samples.push(BTreeSet::from([sample.id]));
            }
            Err(reason) => {
                warn!(sample = %sample.id, objective = objective.as_str(), reason, "sample not trained on");
                read.skipped.insert(sample.id, reason);
            }
        }
    }
    read
}
