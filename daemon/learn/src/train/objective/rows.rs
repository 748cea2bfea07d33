//! Objectives that learn from the rows of a mix, all in one way: a row becomes a unit of one or more sequences, a shuffle per epoch
//! deals units out to the steps, and the loss of a step is a sum over its units.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    RowRun,
    evaluate::Validated as Evaluated,
    reference,
    row_objective::{ObjectiveConfig, RowObjective, Sequence, StepSize, UnitLoss},
};
use crate::{
    adapter::Adapter,
    tokenize::Encoded,
    train::{
        Outcome, Progress, StopFlag, TrainConfig, TrainError, Validating, Validation, ValidationLoss, ValidationUnit,
        batches::Batches,
        canonical::{Canonical, Names},
        checkpoint::Checkpoints,
        gradients::{Loss, Targets, Unit},
        lesson::{Lesson, Objective, Round, Taken},
        parameters::Parameters,
        passes::Passes,
        shares::Weights,
        state::State,
        trainer::{self, Begin},
        validation::Validator,
    },
};

/// A run of an objective over units.
struct Rows<'a, R: RowObjective> {
    config: &'a R::Config,
    units: &'a [Vec<Encoded>],
    validation: &'a [ValidationUnit],
    eval_steps: Option<u64>,
    adapter_of_reference: Option<&'a Adapter>,
    tokens_per_micro_batch: usize,
    /// Of each sequence of each unit.
    reference: Vec<Vec<Vec<f32>>>,
    weights: Option<Weights>,
    /// The same of the units that are validated on.
    validation_reference: Vec<Vec<Vec<f32>>>,
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
        let validated = self.validation.iter().map(|unit| unit.sequences.as_slice());
        let units: Vec<&[Encoded]> = self.units.iter().map(Vec::as_slice).chain(validated).collect();
        let found = reference::of(&units, self.adapter_of_reference, passes, tokens, checkpoints, stop)?;
        let Some(mut found) = found else { return Ok(false) };
        self.validation_reference = found.split_off(self.units.len());
        self.reference = found;
        Ok(true)
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

    fn validator(&self) -> Option<&dyn Validator> {
        (!self.validation.is_empty()).then_some(self)
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

impl<R: RowObjective> Validator for Rows<'_, R> {
    fn is_due(&self, step: u64) -> bool {
        match self.eval_steps {
            Some(steps) => step.is_multiple_of(steps.max(1)),
            None => self.batches.ends_epoch(step),
        }
    }

    fn epoch(&self, step: u64) -> f64 {
        self.batches.epochs_after(step)
    }

    fn loss(
        &self,
        passes: &mut Passes<'_>,
        parameters: &Parameters,
        stop: &StopFlag,
    ) -> Result<Option<ValidationLoss>, TrainError> {
        let rows = Evaluated::<R> {
            config: self.config,
            units: self.validation,
            reference: &self.validation_reference,
            tokens_per_micro_batch: self.tokens_per_micro_batch,
        };
        rows.loss(passes, Some(parameters), stop)
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
    run.check()?;
    let weights = Weights::of(&run.units, run.shares.as_ref(), R::MEAN_OF)?;
    let names = names::<R>(&run, config, train, weights.as_ref())?;
    let RowRun { model, parent, reference, units, validation, checkpoint_dir, stop, .. } = run;
    let unheard = &mut |_: &Validation| ();
    let (validated, on_validation) = match validation {
        Some(Validating { units, on_loss }) => (units, on_loss),
        None => (Vec::new(), unheard as &mut dyn FnMut(&Validation)),
    };
    let mut objective = Rows::<R> {
        config,
        units: &units,
        validation: &validated,
        eval_steps: train.eval_steps,
        adapter_of_reference: reference,
        tokens_per_micro_batch: train.tokens_per_micro_batch,
        reference: Vec::new(),
        validation_reference: Vec::new(),
        batches: Batches::new(train, units.len(), weights.as_ref().map(Weights::groups)),
        weights,
        chosen: Vec::new(),
    };
    let begin = Begin { model, parent, names, config: train, checkpoint_dir, stop, on_validation };
    trainer::run(begin, &mut objective, on_step)
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
    run.write_units(&mut canonical, train);
    let Some(weights) = weights else {
        return Ok(Names { run: canonical.fingerprint(), before: R::name_before(run, train)? });
    };
    // No program before had weights.
    weights.write(&mut canonical);
    Ok(Names { run: canonical.fingerprint(), before: None })
}
