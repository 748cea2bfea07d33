use perennial_types::{Body, Fingerprint, Kind};
use serde::{Serialize, de::DeserializeOwned};

use super::row_run::RowRun;
use crate::{
    model::Model,
    tokenize::{EncodeError, Encoded, Notes},
    train::{TrainConfig, TrainError, canonical::Canonical, shares::MeanOf},
};

/// What an objective that learns from rows is made of.
pub(in crate::train) trait RowObjective: 'static {
    /// The name in the configuration.
    const NAME: &'static str;
    /// The shapes of rows that it learns from.
    const KINDS: &'static [Kind];
    /// What it measures besides the loss, as metrics.jsonl names it.
    const FIGURES: &'static [&'static str];
    /// Whether its loss compares with what the reference says: the champion's adapter, or the base model.
    const COMPARES: bool;
    /// What the loss of a step is the mean of.
    const MEAN_OF: MeanOf;
    /// Its keys.
    type Config: ObjectiveConfig;

    /// A row as the sequences of a unit, with at least one target each.
    fn encode(model: &Model, body: &Body, length_max: usize) -> Result<(Vec<Encoded>, Notes), EncodeError>;

    /// The share of a unit in the loss of a step, and its derivative by each log-probability of its sequences, one sequence
    /// after the other, appended to `slopes`.
    fn loss(config: &Self::Config, step: &StepSize, unit: &[Sequence<'_>], slopes: &mut Vec<f32>) -> UnitLoss;

    /// What programs before there was a canonical form called a run of it.
    fn name_before(_run: &RowRun<'_>, _train: &TrainConfig) -> Result<Option<Fingerprint>, TrainError> {
        Ok(None)
    }
}

/// The keys of an objective. Unknown ones are refused where it is read.
pub(in crate::train) trait ObjectiveConfig: Clone + Default + Serialize + DeserializeOwned {
    /// Checks every value that is not the optimiser's.
    fn check(&self) -> Result<(), TrainError>;

    /// The optimisation as `train` has it, with what stands here in place of what does there.
    fn over(&self, train: &TrainConfig) -> TrainConfig;

    /// Every key that [`over`](Self::over) does not hand on, for the name of a run.
    fn write(&self, canonical: &mut Canonical);
}

/// One sequence of a unit.
pub(in crate::train) struct Sequence<'a> {
    /// The log-probability of each target under the policy.
    pub logprobs: &'a [f32],
    /// The same under the reference; empty where the objective does not compare.
    pub reference: &'a [f32],
}

/// How much a step learns from.
pub(in crate::train) struct StepSize {
    /// Examples or pairs that the step's batch holds.
    pub units: usize,
    /// Targets of all sequences.
    pub targets: usize,
}

/// What a unit comes to.
pub(in crate::train) struct UnitLoss {
    /// Its share in the loss of the step.
    pub value: f64,
    /// One for each of the objective's figures: a step has the mean over its units.
    pub figures: Vec<f64>,
}
