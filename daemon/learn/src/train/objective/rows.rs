//! Objectives that learn from the rows of a mix, all in one way: a row becomes a unit of one or more sequences, a shuffle per epoch
//! deals units out to the steps, and the loss of a step is a sum over its units.

use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{Body, Fingerprint, Kind};
use serde::{Serialize, de::DeserializeOwned};

use super::{RowRun, reference};
use crate::{
    adapter::Adapter,
    model::Model,
    tokenize::{EncodeError, Encoded, Notes},
    train::{
        Outcome, Progress, StopFlag, TrainConfig, TrainError,
        batches::Batches,
        canonical::{Canonical, Names},
        checkpoint::{Checkpoints, State},
        gradients::{Loss, Targets, Unit},
        lesson::{Lesson, Objective, Round, Taken},
        micro_batch::targets_of,
        passes::Passes,
        shares::{MeanOf, Weights},
        trainer::{self, Begin},
    },
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
pub struct Sequence<'a> {
    /// The log-probability of each target under the policy.
    pub logprobs: &'a [f32],
    /// The same under the reference; empty where the objective does not compare.
    pub reference: &'a [f32],
}

/// How much a step learns from.
pub struct StepSize {
    /// Examples or pairs that the step's batch holds.
    pub units: usize,
    /// Targets of all sequences.
    pub targets: usize,
}

/// What a unit comes to.
pub struct UnitLoss {
    /// Its share in the loss of the step.
    pub value: f64,
    /// One for each of the objective's figures: a step has the mean over its units.
    pub figures: Vec<f64>,
}

/// A run of an objective over units.
struct Rows<'a, R: RowObjective> {
    config: &'a R::Config,
    units: &'a [Vec<Encoded>],
    adapter_of_reference: Option<&'a Adapter>,
    tokens_per_micro_batch: usize,
    /// Of each sequence of each unit.
    reference: Vec<Vec<Vec<f32>>>,
    weights: Option<Weights>,
    batches: Batches,
    /// The units of the step.
    chosen: Vec<usize>,
}

/// The loss of one step.
pub(in crate::train) struct RowLoss<'s, R: RowObjective> {
    config: &'s R::Config,
    step: StepSize,
    /// Of each unit of the step; empty where the objective does not compare.
    reference: Vec<&'s [Vec<f32>]>,
    /// What the loss of each unit is multiplied by; empty where that is nothing.
    factors: Vec<f64>,
    /// Summed over the units so far.
    figures: Vec<f64>,
}

impl<'s, R: RowObjective> RowLoss<'s, R> {
    pub(in crate::train) fn new(config: &'s R::Config, units: &[Unit<'_>], reference: Vec<&'s [Vec<f32>]>) -> Self {
        let step = StepSize { units: units.len(), targets: units.iter().map(Unit::targets).sum() };
        Self { config, step, reference, factors: Vec::new(), figures: vec![0.0; R::FIGURES.len()] }
    }

    /// With the units, which are these of a run, weighted.
    pub(in crate::train) fn weighted(self, weights: Option<&Weights>, chosen: &[usize]) -> Self {
        let factors = weights.map(|weights| weights.of_step(chosen, self.step.targets)).unwrap_or_default();
        Self { factors, ..self }
    }

    /// The means over the units.
    pub(in crate::train) fn figures(&self) -> BTreeMap<String, f64> {
        let mean = |sum: &f64| sum / self.step.units.max(1) as f64;
        R::FIGURES.iter().zip(&self.figures).map(|(name, sum)| ((*name).to_owned(), mean(sum))).collect()
    }
}

impl<R: RowObjective> Loss for RowLoss<'_, R> {
    fn add(&mut self, at: usize, sequences: &[Targets<'_>], slopes: &mut Vec<f32>) -> f64 {
        let reference = self.reference.get(at).copied().unwrap_or_default();
        let references = reference.iter().map(Vec::as_slice).chain(std::iter::repeat(&[][..]));
        let unit: Vec<Sequence<'_>> = sequences
            .iter()
            .zip(references)
            .map(|(targets, reference)| Sequence { logprobs: targets.logprobs, reference })
            .collect();
        let first = slopes.len();
        let UnitLoss { value, figures } = R::loss(self.config, &self.step, &unit, slopes);
        self.figures.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        let Some(factor) = self.factors.get(at) else { return value };
        slopes.iter_mut().skip(first).for_each(|slope| *slope = (f64::from(*slope) * factor) as f32);
        value * factor
    }
}

impl<R: RowObjective> Objective for Rows<'_, R> {
    type Line = Progress;
    type Loss<'s>
        = RowLoss<'s, R>
    where
        Self: 's;

    fn steps(&self) -> u64 {
        self.batches.steps()
    }

    fn prepare(
        &mut self,
        passes: &mut Passes<'_>,
        checkpoints: &Checkpoints<'_>,
        stop: &StopFlag,
    ) -> Result<bool, TrainError> {
        if !R::COMPARES {
            return Ok(true);
        }
        let tokens = self.tokens_per_micro_batch;
        let found = reference::of(self.units, self.adapter_of_reference, passes, tokens, checkpoints, stop)?;
        let whole = found.is_some();
        self.reference = found.unwrap_or_default();
        Ok(whole)
    }

    fn round(&mut self, _: &mut Passes<'_>, state: &State, _: &StopFlag) -> Result<Option<Round>, TrainError> {
        self.chosen = self.batches.batch(state.optimizer.step).to_vec();
        Ok(Some(Round { steps: 1, drawn: state.drawn }))
    }

    fn step(&self, _update: u64) -> (Lesson<'_>, RowLoss<'_, R>) {
        let units: Vec<Unit<'_>> = self.chosen.iter().map(|at| Unit::of(*at, &self.units[*at])).collect();
        let reference = match R::COMPARES {
            true => self.chosen.iter().map(|at| self.reference[*at].as_slice()).collect(),
            false => Vec::new(),
        };
        let loss = RowLoss::new(self.config, &units, reference).weighted(self.weights.as_ref(), &self.chosen);
        (Lesson { units, temperature: 1.0 }, loss)
    }

    fn seen(&self, state: &State) -> BTreeSet<usize> {
        self.batches.seen(state.optimizer.step)
    }

    fn line(&self, taken: Taken, loss: RowLoss<'_, R>) -> Progress {
        Progress {
            step: taken.step,
            steps: taken.steps,
            epoch: self.batches.epochs_after(taken.step),
            loss: taken.loss,
            learning_rate: taken.update.learning_rate,
            gradient_norm: taken.update.gradient_norm,
            tokens: taken.tokens,
            supervised_tokens: taken.supervised_tokens,
            seconds: taken.seconds,
            tokens_per_second: taken.tokens as f64 / taken.seconds,
            figures: loss.figures(),
        }
    }
}

/// Trains on the units of `run`.
pub(in crate::train) fn train<R: RowObjective>(
    run: RowRun<'_>,
    config: &R::Config,
    on_step: &mut dyn FnMut(&Progress),
) -> Result<Outcome, TrainError> {
    let train = &config.over(run.train);
    config.check()?;
    train.check()?;
    check(&run)?;
    let weights = Weights::of(&run.units, run.shares.as_ref(), R::MEAN_OF);
    let names = names::<R>(&run, config, train, weights.as_ref())?;
    let RowRun { model, parent, reference, units, checkpoint_dir, stop, .. } = run;
    let mut objective = Rows::<R> {
        config,
        units: &units,
        adapter_of_reference: reference,
        tokens_per_micro_batch: train.tokens_per_micro_batch,
        reference: Vec::new(),
        batches: Batches::new(train, units.len(), weights.as_ref().map(Weights::groups)),
        weights,
        chosen: Vec::new(),
    };
    trainer::run(Begin { model, parent, names, config: train, checkpoint_dir, stop }, &mut objective, on_step)
}

fn names<R: RowObjective>(
    run: &RowRun<'_>,
    config: &R::Config,
    train: &TrainConfig,
    weights: Option<&Weights>,
) -> Result<Names, TrainError> {
    let mut canonical = Canonical::new(R::NAME);
    canonical.bytes("model", run.model.fingerprint.as_bytes());
    canonical.train(train);
    config.write(&mut canonical);
    canonical.adapter("parent", run.parent.as_ref())?;
    if R::COMPARES {
        canonical.adapter("reference", run.reference)?;
    }
    for unit in &run.units {
        canonical.count("unit", unit.len() as u64);
        for sequence in unit {
            canonical.tokens("tokens", &sequence.tokens);
            let supervised: Vec<u8> = sequence.supervised.iter().map(|supervised| u8::from(*supervised)).collect();
            canonical.bytes("supervised", &supervised);
        }
    }
    let Some(weights) = weights else {
        return Ok(Names { run: canonical.fingerprint(), before: R::name_before(run, train)? });
    };
    // No program before had weights.
    weights.write(&mut canonical);
    Ok(Names { run: canonical.fingerprint(), before: None })
}

fn check(run: &RowRun<'_>) -> Result<(), TrainError> {
    if run.units.is_empty() {
        return Err(TrainError::NoExamples);
    }
    if let Some(reference) = run.reference {
        reference.check_fits(&run.model.config)?;
    }
    let untargeted = |unit: &Vec<Encoded>| unit.iter().any(|sequence| targets_of(sequence).next().is_none());
    match run.units.iter().position(untargeted) {
        Some(example) => Err(TrainError::NothingSupervised { example }),
        None => Ok(()),
    }
}
