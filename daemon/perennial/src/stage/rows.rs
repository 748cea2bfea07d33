//! Learning from the rows of the mix: the same for every objective that does.

use std::collections::BTreeSet;

use perennial_data::mix::{MixRow, Origin};
use perennial_learn::{
    adapter::Adapter,
    model::Model,
    tokenize::Encoded,
    train::{
        self as learner, Outcome, Progress, StopFlag, Validating, Validation, ValidationUnit,
        objective::{RowRun, RowTrainer},
    },
};
use perennial_types::SampleId;
use serde_json::Value;
use tracing::warn;

use super::{Lessons, ObjectiveEnd, Reasons, Stage, Trained, penalty, shares, validation};
use crate::{
    config::{Objective, TrainStage},
    failure::{Final, caught},
    telemetry::{RowStep, SamplesTold, Told, ValidationStep},
};

/// Goes on from `adapter`; an objective that compares does so with `reference`, the champion, or else with the base model.
pub(super) fn run(
    stage: &Stage<'_>,
    own: &TrainStage,
    trainer: &dyn RowTrainer,
    adapter: Option<Adapter>,
    reference: Option<&Adapter>,
) -> anyhow::Result<ObjectiveEnd> {
    let Stage { folder, manifest, rows, model, stop, telemetry, .. } = stage;
    let objective = own.objective;
    let length_max = manifest.train.max_length;
    let Read { units, rows, samples, mut skipped, mut told } = read(model, rows, objective, trainer, length_max);
    let apart = read(model, stage.validation, objective, trainer, length_max);
    // What cannot be read is set aside, whatever it was for.
    skipped.extend(apart.skipped.clone());
    told.extend(apart.told.clone());
    let used: Vec<SampleId> = apart.samples.iter().flatten().copied().collect();
    let validated = apart.validated();
    telemetry.emit(SamplesTold(&told));
    if units.is_empty() {
        let lessons = Lessons { skipped, ..Lessons::default() };
        return Ok(ObjectiveEnd::NothingToLearn { why: nothing_to_learn(objective, &lessons), lessons });
    }
    let (items, rows_validated) = (units.len(), validated.len());
    let origins: Vec<Origin> = rows.iter().map(|row| row.origin).collect();
    let (shares, notes) = shares::of(manifest, &origins).unzip();
    let mut on_loss = |line: &Validation| telemetry.emit(ValidationStep { objective, validation: line });
    let on_loss: &mut dyn FnMut(&Validation) = &mut on_loss;
    let run = RowRun {
        model,
        parent: adapter,
        reference,
        past: stage.past_of(objective),
        units,
        held_to: origins.iter().map(|origin| penalty::held_to(stage, *origin)).collect(),
        shares,
        validation: (!validated.is_empty()).then_some(Validating { units: validated, on_loss }),
        keys: &own.keys,
        train: &stage.learner(),
        checkpoint_dir: &folder.checkpoints_of(objective.as_str()),
        stop: &StopFlag::from(stop.flag()),
    };
    let mut report = |progress: &Progress| telemetry.emit(RowStep { objective, progress });
    Ok(match trainer.train(run, &mut report)? {
        Outcome::Stopped { .. } => ObjectiveEnd::Stopped,
        Outcome::Trained(learner::Trained {
            adapter,
            optimizer,
            steps,
            loss,
            learned,
            seen,
            validation: validated,
            ..
        }) => {
            let mut lessons = Lessons::of(&samples, &seen, skipped);
            // What is validated on has done its work as well.
            lessons.learned_from.extend(used);
            let idle = (!learned).then(|| {
                let reason = format!("in none of {steps} steps was there a gradient to follow");
                Final::new(reason, "send samples that the model cannot answer yet")
            });
            let mut notes = notes.unwrap_or_default();
            let validated = validated.as_deref();
            notes.extend(validated.map(|found| validation::told(rows_validated, steps, found)));
            let validation = validated.map_or(Value::Null, validation::record);
            let trained = Box::new(Trained { objective, steps, loss, items, learned, told, notes, validation });
            ObjectiveEnd::Trained { adapter, trained, optimizer, lessons, idle }
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
pub(super) struct Read<'r> {
    pub(super) units: Vec<Vec<Encoded>>,
    /// The sample of each unit.
    samples: Vec<BTreeSet<SampleId>>,
    /// The row of each unit.
    pub(super) rows: Vec<&'r MixRow>,
    skipped: Reasons,
    told: Told,
}

impl Read<'_> {
    /// As the learner validates on them.
    pub(super) fn validated(self) -> Vec<ValidationUnit> {
        self.rows.into_iter().zip(self.units).map(|(row, unit)| validation::unit(row, unit)).collect()
    }
}

pub(super) fn read<'r>(
    model: &Model,
    rows: &'r [MixRow],
    objective: Objective,
    trainer: &dyn RowTrainer,
    length_max: usize,
) -> Read<'r> {
    let length_max = length_max.min(model.config.positions_max);
    let mut read = Read::default();
    let kinds = objective.kind().kinds();
    for row in rows.iter().filter(|row| kinds.contains(&row.sample.body.kind())) {
        let sample = &row.sample;
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
                read.rows.push(row);
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
