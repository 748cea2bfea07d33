//! Objectives that learn from the rows of a mix, all in one way: a row becomes a unit of one or more sequences, a shuffle per epoch
//! deals units out to the steps, and the loss of a step is a sum over its units.

use std::collections::BTreeSet;

use super::{
    RowRun,
    evaluate::Validated as Evaluated,
    reference,
    row_loss::RowLoss,
    row_objective::{ObjectiveConfig, RowObjective},
};
use crate::{
    adapter::Adapter,
    tokenize::Encoded,
    train::{
        Outcome, Progress, StopFlag, TrainConfig, TrainError, Validating, Validation, ValidationLoss, ValidationUnit,
        batches::Batches,
        canonical::{Canonical, Names},
        checkpoint::Checkpoints,
        distillation::Teacher,
        gradients::Unit,
        lesson::{Lesson, Objective, Round, Taken},
        parameters::Parameters,
        passes::Passes,
        penalty::{DistillationConfig, HeldTo},
        shares::{MeanOf, Weights},
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
    distillation: DistillationConfig,
    /// The teacher of each unit; empty where there are none.
    held_to: Vec<Option<HeldTo>>,
    /// The champion, where units are held to it.
    champion: Option<Parameters>,
    /// The same of the units that are validated on.
    validation_reference: Vec<Vec<Vec<f32>>>,
    batches: Batches,
    /// The units of the step.
    chosen: Vec<usize>,
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
        let teachers = self.teachers(&loss);
        (Lesson { units, teachers, temperature: 1.0 }, loss)
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
            figures: loss.figures().into_iter().chain(taken.penalties).collect(),
        }
    }
}

impl<R: RowObjective> Rows<'_, R> {
    /// Of the step at hand.
    fn teachers(&self, loss: &RowLoss<'_, R>) -> Vec<Teacher<'_>> {
        let held_to = |at: &usize| self.held_to.get(*at).copied().flatten();
        let teacher = |is: HeldTo| {
            let parameters = match is {
                HeldTo::Champion => Some(self.champion.as_ref()?),
                HeldTo::Base => None,
            };
            let weights = loss.held(&self.distillation, is, self.chosen.iter().map(held_to));
            Some(Teacher { is, parameters, weights })
        };
        HeldTo::ALL.into_iter().filter_map(teacher).collect()
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
    let RowRun { model, parent, reference, past, units, held_to, validation, checkpoint_dir, stop, .. } = run;
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
        distillation: train.penalty.distillation,
        champion: reference
            .filter(|_| held_to.contains(&Some(HeldTo::Champion)))
            .map(Parameters::from_adapter)
            .transpose()?,
        held_to,
        chosen: Vec::new(),
    };
    let begin = Begin { model, parent, past, names, config: train, checkpoint_dir, stop, on_validation };
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
    canonical.past(run.past, train)?;
    if R::MEAN_OF == MeanOf::Targets {
        run.write_held(&mut canonical, train, R::COMPARES)?;
    }
    run.write_units(&mut canonical, train);
    let Some(weights) = weights else {
        return Ok(Names { run: canonical.fingerprint(), before: R::name_before(run, train)? });
    };
    // No program before had weights.
    weights.write(&mut canonical);
    Ok(Names { run: canonical.fingerprint(), before: None })
}
