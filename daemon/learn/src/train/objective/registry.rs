use std::{collections::BTreeMap, marker::PhantomData};

use perennial_types::{Body, Kind};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    OBJECTIVES, evaluate,
    fisher::{self, FisherRun},
    grpo::GrpoConfig,
    reference,
    row_loss::RowLoss,
    row_objective::{ObjectiveConfig, RowObjective},
    row_run::{Keys, RowRun, ValidationRun},
    rows,
};
use crate::{
    adapter::Adapter,
    model::Model,
    tokenize::{EncodeError, Encoded, Notes},
    train::{
        Fisher, LossAndGradients, Outcome, Progress, StopFlag, TrainConfig, TrainDevice, TrainError, ValidationLoss,
        gradients::{Batch, Unit},
        parameters::Parameters,
        passes::Passes,
        shares::{MeanOf, Shares, Weights},
    },
};

/// A key that is unknown, or whose value has another type: its name in backticks comes first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

/// An objective by its name: what is known of it before anything is trained.
pub trait ObjectiveKind: Sync {
    /// The name in the configuration, in metrics and of the folder of its checkpoints.
    fn name(&self) -> &'static str;

    /// The shapes of rows that it learns from.
    fn kinds(&self) -> &'static [Kind];

    /// What it measures besides the loss, by the names of metrics.jsonl.
    fn figures(&self) -> &'static [&'static str];

    /// All of its keys: those that are given, and its defaults for the others. A key without a value is left out.
    ///
    /// # Errors
    /// Where a key is unknown or has another type.
    fn complete(&self, keys: &Keys) -> Result<Keys, KeyError>;

    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainError::Config`], which names the first key that makes no sense; [`TrainError::Keys`].
    fn check(&self, keys: &Keys) -> Result<(), TrainError>;

    /// How it learns from rows; `None` where it draws what it learns from.
    fn rows(&self) -> Option<&dyn RowTrainer>;
}

/// What learns from rows.
pub trait RowTrainer: Sync {
    /// A row as the sequences of a unit, with what is to be told of it.
    ///
    /// # Errors
    /// [`EncodeError`], notably where nothing to learn is left.
    fn encode(&self, model: &Model, body: &Body, length_max: usize) -> Result<(Vec<Encoded>, Notes), EncodeError>;

    /// Trains an adapter, from the parent or afresh. Checkpoints and metrics go to the folder, and a run that was interrupted
    /// goes on from there and ends with the same bytes. `on_step` hears of every optimiser step.
    ///
    /// # Errors
    /// [`TrainError`], notably where the loss is no longer finite, or where the folder holds a checkpoint of another run.
    fn train(&self, run: RowRun<'_>, on_step: &mut dyn FnMut(&Progress)) -> Result<Outcome, TrainError>;

    /// Whether its units can be held to what a frozen policy says: where its loss is a mean over targets.
    fn distils(&self) -> bool;

    /// How much each number of an adapter matters for what it was trained on. `None` where it was asked to stop.
    ///
    /// # Errors
    /// [`TrainError`]
    fn fisher(&self, run: &FisherRun<'_>) -> Result<Option<Fisher>, TrainError>;

    /// The validation loss under each of some adapters, or under the base model for `None`, by forward passes alone. `None` where it
    /// was asked to stop.
    ///
    /// # Errors
    /// [`TrainError`]
    fn validation_losses(
        &self,
        asked: &ValidationRun<'_>,
        adapters: &[Option<&Adapter>],
    ) -> Result<Option<Vec<ValidationLoss>>, TrainError>;

    /// Loss, gradients and figures of one step over the units on a device: exactly what a step of [`train`](Self::train) computes
    /// before clipping, where all units are the step's. The reference is the base model where there is no adapter for it.
    ///
    /// # Errors
    /// [`TrainError`]
    #[expect(clippy::too_many_arguments, reason = "all of them are what a step is made of")]
    fn loss_and_gradients(
        &self,
        model: &Model,
        adapter: &Adapter,
        reference: Option<&Adapter>,
        units: &[Vec<Encoded>],
        shares: Option<&Shares>,
        keys: &Keys,
        tokens_per_micro_batch: usize,
        device: TrainDevice,
    ) -> Result<(LossAndGradients, BTreeMap<String, f64>), TrainError>;
}

/// By its name in the configuration.
pub fn objective_of(name: &str) -> Option<&'static dyn ObjectiveKind> {
    OBJECTIVES.iter().copied().find(|objective| objective.name() == name)
}

/// An objective that learns from rows.
pub(super) struct OfRows<R>(PhantomData<fn() -> R>);

impl<R> OfRows<R> {
    pub(super) const NEW: Self = Self(PhantomData);
}

/// Learning from rewards, which draws what it learns from.
pub(super) struct Drawn;

fn read<C: DeserializeOwned>(keys: &Keys) -> Result<C, serde_json::Error> {
    serde_json::from_value(Value::Object(keys.clone()))
}

fn complete<C: DeserializeOwned + Serialize>(keys: &Keys) -> Result<Keys, KeyError> {
    // One after the other, so that a wrong one is known by its name.
    for (key, value) in keys {
        let alone = Keys::from_iter([(key.clone(), value.clone())]);
        if let Err(error) = read::<C>(&alone) {
            let error = error.to_string();
            let problem = if error.starts_with("unknown field") { error } else { format!("`{key}`: {error}") };
            return Err(KeyError(problem));
        }
    }
    match read::<C>(keys).and_then(serde_json::to_value) {
        Ok(Value::Object(keys)) => Ok(keys.into_iter().filter(|(_, value)| !value.is_null()).collect()),
        Ok(_) => Ok(Keys::new()),
        Err(error) => Err(KeyError(error.to_string())),
    }
}

impl<R: RowObjective> ObjectiveKind for OfRows<R> {
    fn name(&self) -> &'static str {
        R::NAME
    }

    fn kinds(&self) -> &'static [Kind] {
        R::KINDS
    }

    fn figures(&self) -> &'static [&'static str] {
        R::FIGURES
    }

    fn complete(&self, keys: &Keys) -> Result<Keys, KeyError> {
        complete::<R::Config>(keys)
    }

    fn check(&self, keys: &Keys) -> Result<(), TrainError> {
        let config: R::Config = read(keys)?;
        config.check()?;
        config.over(&TrainConfig::default()).check()
    }

    fn rows(&self) -> Option<&dyn RowTrainer> {
        Some(self)
    }
}

impl ObjectiveKind for Drawn {
    fn name(&self) -> &'static str {
        super::grpo::NAME
    }

    fn kinds(&self) -> &'static [Kind] {
        &[Kind::Messages, Kind::PromptCompletion, Kind::PromptOnly]
    }

    fn figures(&self) -> &'static [&'static str] {
        &[]
    }

    fn complete(&self, keys: &Keys) -> Result<Keys, KeyError> {
        complete::<GrpoConfig>(keys)
    }

    fn check(&self, keys: &Keys) -> Result<(), TrainError> {
        read::<GrpoConfig>(keys)?.check()
    }

    fn rows(&self) -> Option<&dyn RowTrainer> {
        None
    }
}

impl<R: RowObjective> RowTrainer for OfRows<R> {
    fn encode(&self, model: &Model, body: &Body, length_max: usize) -> Result<(Vec<Encoded>, Notes), EncodeError> {
        R::encode(model, body, length_max)
    }

    fn distils(&self) -> bool {
        R::MEAN_OF == MeanOf::Targets
    }

    fn train(&self, run: RowRun<'_>, on_step: &mut dyn FnMut(&Progress)) -> Result<Outcome, TrainError> {
        let config = read(run.keys)?;
        rows::train::<R>(run, &config, on_step)
    }

    fn fisher(&self, run: &FisherRun<'_>) -> Result<Option<Fisher>, TrainError> {
        fisher::measured::<R>(run, &read(run.keys)?)
    }

    fn validation_losses(
        &self,
        asked: &ValidationRun<'_>,
        adapters: &[Option<&Adapter>],
    ) -> Result<Option<Vec<ValidationLoss>>, TrainError> {
        let ValidationRun { model, reference, units, keys, train, stop } = asked;
        let (config, tokens_per_micro_batch): (R::Config, _) = (read(keys)?, train.tokens_per_micro_batch);
        let mut passes = Passes::new(model, train)?;
        let slices: Vec<&[Encoded]> = units.iter().map(|unit| unit.sequences.as_slice()).collect();
        let compared = match R::COMPARES {
            true => {
                let found = reference::computed(&slices, *reference, &mut passes, tokens_per_micro_batch, stop)?;
                let Some(values) = found else { return Ok(None) };
                reference::dealt(&values, &slices)
            }
            false => Vec::new(),
        };
        let rows = evaluate::Validated::<R> { config: &config, units, reference: &compared, tokens_per_micro_batch };
        let mut losses = Vec::with_capacity(adapters.len());
        for adapter in adapters {
            let parameters = adapter.map(Parameters::from_adapter).transpose()?;
            let Some(loss) = rows.loss(&mut passes, parameters.as_ref(), stop)? else { return Ok(None) };
            losses.push(loss);
        }
        Ok(Some(losses))
    }

    fn loss_and_gradients(
        &self,
        model: &Model,
        adapter: &Adapter,
        reference: Option<&Adapter>,
        units: &[Vec<Encoded>],
        shares: Option<&Shares>,
        keys: &Keys,
        tokens_per_micro_batch: usize,
        device: TrainDevice,
    ) -> Result<(LossAndGradients, BTreeMap<String, f64>), TrainError> {
        let (config, parameters): (R::Config, _) = (read(keys)?, Parameters::from_adapter(adapter)?);
        let (never, mut passes) = (StopFlag::new(), Passes::on(device, model)?);
        let slices: Vec<&[Encoded]> = units.iter().map(Vec::as_slice).collect();
        let compared = match R::COMPARES {
            true => reference::computed(&slices, reference, &mut passes, tokens_per_micro_batch, &never)?,
            false => None,
        };
        let compared = compared.map(|values| reference::dealt(&values, &slices)).unwrap_or_default();
        let named: Vec<Unit<'_>> = units.iter().enumerate().map(|(name, unit)| Unit::of(name, unit)).collect();
        let (weights, all) = (Weights::of(units, shares, R::MEAN_OF)?, (0..units.len()).collect::<Vec<_>>());
        let mut loss = RowLoss::<R>::new(&config, &named, compared.iter().map(Vec::as_slice).collect())
            .weighted(weights.as_ref(), &all);
        let batch = Batch { units: &named, temperature: 1.0, teachers: &[], tokens_per_micro_batch, step: 1 };
        let result = batch.run(&mut passes, &parameters, &mut loss, &never)?.ok_or(TrainError::NoExamples)?;
        Ok((result.named(&parameters)?, loss.figures()))
    }
}
