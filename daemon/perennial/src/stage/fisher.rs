//! How much each number of an adapter matters, for elastic weight consolidation: of the parent as it was measured, and of the candidate.

use perennial_data::mix::Origin;
use perennial_learn::{
    adapter::Adapter,
    train::{Fisher, StopFlag, TrainError, objective::FisherRun},
};
use tracing::warn;

use super::{Stage, StageManifest, rows, shares};
use crate::{config::TrainStage, cycle_folder::CycleFolder};

/// How much each number of what training begins with matters, where it is the parent as it was when that was measured.
pub(super) fn of_parent(
    folder: &CycleFolder,
    manifest: &StageManifest,
    first: Option<&Adapter>,
) -> Result<Option<Fisher>, TrainError> {
    let Some(first) = first.filter(|_| manifest.train.penalty.ewc.weight > 0.0) else { return Ok(None) };
    match Fisher::load(&folder.parent_fisher()) {
        Ok(Some(fisher)) if fisher.is_of(first)? => Ok(Some(fisher)),
        Ok(_) => Ok(None),
        // It is measured anew, of the candidate.
        Err(error @ TrainError::DamagedFisher { .. }) => {
            warn!(%error, "going without elastic weight consolidation in this cycle");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Measures how much each number of the candidate matters, for elastic weight consolidation in the cycles after it is promoted. False
/// where it was asked to stop.
pub(super) fn measure(
    stage: &Stage<'_>,
    learned: &[TrainStage],
    reference: Option<&Adapter>,
    candidate: &Adapter,
) -> anyhow::Result<bool> {
    let ewc = stage.manifest.train.penalty.ewc;
    if ewc.weight == 0.0 {
        return Ok(true);
    }
    let (train, stop) = (&stage.manifest.learner(stage.seed), &StopFlag::from(stage.stop.flag()));
    let mut all: Option<Fisher> = None;
    for own in learned {
        let Some(trainer) = own.objective.kind().rows() else { continue };
        let read = rows::read(stage.model, stage.rows, own.objective, trainer, stage.manifest.train.max_length);
        let origins: Vec<Origin> = read.rows.iter().map(|row| row.origin).collect();
        let shares = shares::of(stage.manifest, &origins).map(|(shares, _)| shares);
        let run = FisherRun {
            model: stage.model,
            adapter: candidate,
            reference,
            units: &read.units,
            shares: shares.as_ref(),
            keys: &own.keys,
            train,
            stop,
        };
        let Some(found) = trainer.fisher(&run)? else { return Ok(false) };
        all = Some(match all {
            Some(before) => found.after(&before, 1.0),
            None => found,
        });
    }
    if let Some(found) = all {
        let running = match stage.past.fisher {
            Some(earlier) => found.after(earlier, ewc.decay),
            None => found,
        };
        running.save(&stage.folder.fisher())?;
    }
    Ok(true)
}
