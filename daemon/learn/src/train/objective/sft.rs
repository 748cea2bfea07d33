use std::path::Path;

use perennial_types::{Body, Fingerprint, Kind};
use serde::{Deserialize, Serialize};

use super::{
    Keys, RowRun,
    row_loss::RowLoss,
    row_objective::{ObjectiveConfig, RowObjective, Sequence, StepSize, UnitLoss},
    rows,
};
use crate::{
    adapter::Adapter,
    model::Model,
    tokenize::{EncodeError, Encoded, Notes},
    train::{
        LossAndGradients, Outcome, Past, Progress, StopFlag, TrainConfig, TrainDevice, TrainError,
        canonical::Canonical,
        earlier,
        gradients::{Batch, Unit},
        parameters::Parameters,
        passes::Passes,
        shares::MeanOf,
    },
};

/// Supervised fine-tuning: −Σ log p over the targets, divided by the targets of the *whole batch*, so that it does not
/// matter how a batch is cut into micro-batches (transformers ≥ 4.46, `num_items_in_batch`).
pub(super) struct Sft;

/// The keys of supervised fine-tuning, by TRL's meaning; the rate is for LoRA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SftConfig {
    /// The highest learning rate. Default 2e-4.
    learning_rate: f64,
    /// Times that every example is seen. Default 1.
    epochs: f64,
    /// Stop after so many optimiser steps. The schedule ends there.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_max: Option<u64>,
    /// Examples per optimiser step. Default 8.
    batch_size: usize,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self::of(&TrainConfig::default())
    }
}

impl SftConfig {
    /// As the optimisation itself has it.
    pub(super) fn of(train: &TrainConfig) -> Self {
        let TrainConfig { learning_rate, epochs, steps_max, batch_size, .. } = *train;
        Self { learning_rate, epochs, steps_max, batch_size }
    }
}

impl ObjectiveConfig for SftConfig {
    fn check(&self) -> Result<(), TrainError> {
        Ok(())
    }

    fn over(&self, train: &TrainConfig) -> TrainConfig {
        let Self { learning_rate, epochs, steps_max, batch_size } = *self;
        TrainConfig { learning_rate, epochs, steps_max, batch_size, ..train.clone() }
    }

    fn write(&self, _canonical: &mut Canonical) {}
}

impl RowObjective for Sft {
    const NAME: &'static str = "sft";
    const KINDS: &'static [Kind] = &[Kind::Messages, Kind::PromptCompletion, Kind::Text];
    const FIGURES: &'static [&'static str] = &[];
    const COMPARES: bool = false;
    const MEAN_OF: MeanOf = MeanOf::Targets;
    type Config = SftConfig;

    fn encode(model: &Model, body: &Body, length_max: usize) -> Result<(Vec<Encoded>, Notes), EncodeError> {
        let (example, notes) = model.encode_with_notes(body, length_max)?;
        Ok((vec![example], notes))
    }

    fn loss(_: &SftConfig, step: &StepSize, unit: &[Sequence<'_>], slopes: &mut Vec<f32>) -> UnitLoss {
        let targets = step.targets as f64;
        let logprobs = || unit.iter().flat_map(|sequence| sequence.logprobs);
        slopes.resize(slopes.len() + logprobs().count(), (-1.0 / targets) as f32);
        let sum = logprobs().map(|logprob| f64::from(*logprob)).sum::<f64>();
        UnitLoss { value: -sum / targets, figures: Vec::new() }
    }

    fn name_before(run: &RowRun<'_>, train: &TrainConfig) -> Result<Option<Fingerprint>, TrainError> {
        earlier::sft(run.model, run.parent.as_ref(), run.units.iter().flatten(), train).map(Some)
    }
}

/// Trains an adapter, from `parent` or afresh, on the targets of the examples, all by `config`. Checkpoints and metrics go to
/// `checkpoint_dir`, and a run that was interrupted goes on from there and ends with the same bytes. `on_step` hears of every
/// optimiser step.
///
/// # Errors
/// [`TrainError`], notably where the loss is no longer finite, or where the folder holds a checkpoint of another run.
pub fn train(
    model: &Model,
    parent: Option<Adapter>,
    examples: Vec<Encoded>,
    config: &TrainConfig,
    checkpoint_dir: &Path,
    stop: &StopFlag,
    on_step: &mut dyn FnMut(&Progress),
) -> Result<Outcome, TrainError> {
    let units = examples.into_iter().map(|example| vec![example]).collect();
    let keys = &Keys::new();
    let run = RowRun {
        model,
        parent,
        reference: None,
        past: Past::default(),
        units,
        held_to: Vec::new(),
        shares: None,
        validation: None,
        keys,
        train: config,
        checkpoint_dir,
        stop,
    };
    rows::train::<Sft>(run, &SftConfig::of(config), on_step)
}

/// Loss and gradients of one batch on a device, packed into micro-batches of up to `tokens_per_micro_batch` tokens: exactly
/// what a step of [`train`] computes before clipping. The loss is the mean negative log-probability of the targets,
/// in nats.
///
/// # Errors
/// [`TrainError`]
pub fn loss_and_gradients(
    model: &Model,
    adapter: &Adapter,
    examples: &[Encoded],
    tokens_per_micro_batch: usize,
    device: TrainDevice,
) -> Result<LossAndGradients, TrainError> {
    let parameters = Parameters::from_adapter(adapter)?;
    let units: Vec<Unit<'_>> = examples.iter().enumerate().map(|(name, example)| Unit::of(name, [example])).collect();
    let batch = Batch { units: &units, temperature: 1.0, teachers: &[], tokens_per_micro_batch, step: 1 };
    let mut passes = Passes::on(device, model)?;
    let config = SftConfig::default();
    let mut loss = RowLoss::<Sft>::new(&config, &units, Vec::new());
    let result = batch.run(&mut passes, &parameters, &mut loss, &StopFlag::new())?;
    let result = result.ok_or(TrainError::NoExamples)?;
    result.named(&parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_mean_over_the_batch_and_so_is_its_gradient() {
        let step = StepSize { units: 1, targets: 4 };
        let unit = [Sequence { logprobs: &[-1.0, -2.0, -3.0], reference: &[] }];
        let mut slopes = vec![];
        let loss = Sft::loss(&SftConfig::default(), &step, &unit, &mut slopes);
        assert_eq!((loss.value, slopes), (1.5, vec![-0.25; 3]));
    }

    #[test]
    fn its_keys_stand_in_for_those_of_the_optimisation() {
        let keys: SftConfig = serde_json::from_str(r#"{"learning_rate": 0.5, "steps_max": 3}"#).unwrap();
        let train = keys.over(&TrainConfig { batch_size: 3, seed: 9, ..TrainConfig::default() });
        assert_eq!((train.learning_rate, train.steps_max, train.batch_size, train.seed), (0.5, Some(3), 8, 9));
        assert!(serde_json::from_str::<SftConfig>(r#"{"beta": 0.1}"#).is_err());
    }
}
