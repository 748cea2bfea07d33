//! AdamW's state from one promoted cycle to the next (`train.carry_optimizer`).
//!
//! It is of the very numbers that the last step left, so it is kept only with a candidate that is these: not where they were averaged,
//! interpolated, consolidated or brought back to another rank, or where an earlier step was the best. And it goes only to runs
//! that begin with that candidate as it is.

use perennial_learn::{
    adapter::Adapter,
    train::{OptimizerState, TrainError},
};
use tracing::warn;

use super::{Stage, StageManifest};
use crate::{
    config::{Objective, TrainStage},
    cycle_folder::CycleFolder,
};

/// What AdamW begins with.
#[derive(Default)]
pub(super) struct Carried {
    states: Vec<(Objective, OptimizerState)>,
    /// For the report.
    pub(super) notes: Vec<String>,
}

impl Carried {
    /// What is there of the parent, for objectives that go on from it; `first` is what training begins with.
    pub(super) fn of_parent(
        folder: &CycleFolder,
        manifest: &StageManifest,
        stages: &[TrainStage],
        first: Option<&Adapter>,
    ) -> Result<Self, TrainError> {
        let mut carried = Self::default();
        for objective in stages.iter().map(|own| own.objective).filter(|_| manifest.train.carry_optimizer) {
            let name = objective.as_str();
            match found(folder, objective, first)? {
                Ok(state) => {
                    let told = "began with what AdamW knew after the champion's training";
                    carried.notes.push(format!("{name} {told}, of {} steps.", state.steps()));
                    carried.states.push((objective, state));
                }
                Err(why) => {
                    carried.notes.push(format!("train.carry_optimizer had no effect on {name} in this cycle: {why}."));
                }
            }
        }
        Ok(carried)
    }

    /// Of an objective.
    pub(super) fn of(&self, objective: Objective) -> Option<&OptimizerState> {
        self.states.iter().find(|(of, _)| *of == objective).map(|(_, state)| state)
    }
}

/// The inner error says why there is none.
fn found(
    folder: &CycleFolder,
    objective: Objective,
    first: Option<&Adapter>,
) -> Result<Result<OptimizerState, &'static str>, TrainError> {
    let Some(first) = first else { return Ok(Err("the candidate goes on from no champion")) };
    match OptimizerState::load(&folder.parent_optimizer_of(objective.as_str())) {
        Ok(Some(state)) if state.is_of(first)? => Ok(Ok(state)),
        Ok(Some(_)) => Ok(Err("what was kept is of other numbers than training begins with, as it is after a re-base")),
        Ok(None) => Ok(Err("nothing was kept of the champion's training by it")),
        Err(error @ TrainError::DamagedOptimizer { .. }) => {
            warn!(%error, "AdamW begins anew in this cycle");
            Ok(Err("what was kept is damaged"))
        }
        Err(error) => Err(error),
    }
}

/// Keeps what the objectives that learned left, with the candidate. Returns why not, for the report.
pub(super) fn keep(
    stage: &Stage<'_>,
    left: Vec<(Objective, Option<Box<OptimizerState>>)>,
    candidate: &Adapter,
) -> Result<Option<String>, TrainError> {
    if !stage.manifest.train.carry_optimizer {
        return Ok(None);
    }
    let is_candidates = match left.last() {
        Some((_, Some(last))) => last.is_of(candidate)?,
        _ => false,
    };
    if !is_candidates {
        let note = "What AdamW knows is not kept for the next cycle (train.carry_optimizer), since the candidate is not what the last \
                    step of training left.";
        return Ok(Some(note.to_owned()));
    }
    for (objective, state) in left {
        let Some(state) = state else { continue };
        // What came after an objective's own steps is to the next cycle as what came before it.
        state.kept_with(candidate)?.save(&stage.folder.optimizer_of(objective.as_str()))?;
    }
    Ok(None)
}
