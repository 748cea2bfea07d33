use std::collections::{BTreeMap, BTreeSet};

use super::{
    TrainError,
    checkpoint::Checkpoints,
    distillation::Teacher,
    gradients::{Loss, Unit},
    metrics::Line,
    passes::Passes,
    run::Update,
    state::State,
    validation::Validator,
};
use crate::stop::StopFlag;

/// What the trainer asks of an objective, from the first step of a run to its last.
pub(super) trait Objective {
    /// A step as metrics.jsonl keeps it.
    type Line: Line;
    /// The loss of a step, and what is measured along the way.
    type Loss<'s>: Loss
    where
        Self: 's;

    /// Optimiser steps of the whole run.
    fn steps(&self) -> u64;

    /// Computes what all steps need, once and before the first, and keeps it beside the checkpoints where it is much. False
    /// where it was asked to stop.
    fn prepare(
        &mut self,
        passes: &mut Passes<'_>,
        checkpoints: &Checkpoints<'_>,
        stop: &StopFlag,
    ) -> Result<bool, TrainError>;

    /// Makes ready what the steps after `state` learn from. `None` where it was asked to stop.
    fn round(&mut self, passes: &mut Passes<'_>, state: &State, stop: &StopFlag) -> Result<Option<Round>, TrainError>;

    /// What a step learns from: the one that is `update`, from 0, in its round.
    fn step(&self, update: u64) -> (Lesson<'_>, Self::Loss<'_>);

    /// The rows or prompts, by their places, that the steps up to `state` were made of.
    fn seen(&self, state: &State) -> BTreeSet<usize>;

    /// How it is validated; `None` where it is not.
    fn validator(&self) -> Option<&dyn Validator> {
        None
    }

    /// What there is to tell of a step.
    fn line(&self, taken: Taken, loss: Self::Loss<'_>) -> Self::Line;
}

/// Steps that were made ready together. Checkpoints are written between rounds alone.
pub(super) struct Round {
    /// Optimiser steps, those that go beyond the end of the run included.
    pub(super) steps: u64,
    /// Prompts drawn so far, for the checkpoint.
    pub(super) drawn: u64,
}

/// What a step learns from.
pub(super) struct Lesson<'s> {
    pub(super) units: Vec<Unit<'s>>,
    /// What some of the units are held to.
    pub(super) teachers: Vec<Teacher<'s>>,
    /// Divides the logits.
    pub(super) temperature: f64,
}

/// A step that was taken.
pub(super) struct Taken {
    /// Steps that are through, this one included.
    pub(super) step: u64,
    pub(super) steps: u64,
    pub(super) loss: f64,
    pub(super) update: Update,
    /// Tokens of its sequences.
    pub(super) tokens: u64,
    pub(super) supervised_tokens: u64,
    /// Wall time of the step itself.
    pub(super) seconds: f64,
    /// What penalties came to, by the names of metrics.jsonl.
    pub(super) penalties: BTreeMap<String, f64>,
    /// Wall time that its round took to be made ready; 0 but in the round's first step.
    pub(super) round_seconds: f64,
}
