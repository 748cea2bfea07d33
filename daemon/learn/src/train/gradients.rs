use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::{
    TrainError,
    distillation::{Divergences, Taught, Teacher},
    micro_batch::{MicroBatch, split, targets_of},
    parameters::{Parameter, Parameters},
    passes::{Passes, Policy},
};
use crate::{decode::RolloutActivations, stop::StopFlag, tokenize::Encoded};

/// What a batch says about an adapter.
#[derive(Debug)]
pub struct LossAndGradients {
    /// The loss of the batch.
    pub loss: f64,
    /// The number of targets.
    pub supervised_tokens: usize,
    /// Per example, the log-probability of each of its targets in order.
    pub logprobs: Vec<Vec<f32>>,
    /// The gradient of the loss for each tensor of the adapter, under the tensor's name in PEFT's file.
    pub gradients: BTreeMap<String, Tensor>,
}

/// A loss that is a sum over units, each a function of the log-probabilities of that unit's targets alone.
pub(super) trait Loss {
    /// The share of the unit at this place of the batch, and its derivative by each log-probability of its sequences, one
    /// sequence after the other, appended to `slopes`.
    fn add(&mut self, at: usize, sequences: &[Targets<'_>], slopes: &mut Vec<f32>) -> f64;
}

/// The targets of one sequence under the policy.
pub(super) struct Targets<'a> {
    /// The log-probability of each.
    pub(super) logprobs: &'a [f32],
    /// The entropy of the distribution of each, in nats.
    pub(super) entropies: &'a [f32],
}

/// What is learned from as a whole (an example, a preference pair): micro-batches never split it.
pub(super) struct Unit<'a> {
    pub(super) sequences: Vec<&'a Encoded>,
    /// What the passes of this policy that drew its only sequence have left behind.
    pub(super) activations: Option<&'a RolloutActivations>,
    /// What it is called in error messages.
    pub(super) name: usize,
}

impl<'a> Unit<'a> {
    pub(super) fn of(name: usize, sequences: impl IntoIterator<Item = &'a Encoded>) -> Self {
        Self { sequences: sequences.into_iter().collect(), activations: None, name }
    }

    /// The number of targets.
    pub(super) fn targets(&self) -> usize {
        self.sequences.iter().map(|sequence| targets_of(sequence).count()).sum()
    }
}

/// The units of one optimiser step.
pub(super) struct Batch<'a> {
    pub(super) units: &'a [Unit<'a>],
    /// Divides the logits.
    pub(super) temperature: f64,
    /// The frozen policies that some of the units are held to.
    pub(super) teachers: &'a [Teacher<'a>],
    pub(super) tokens_per_micro_batch: usize,
    /// The optimiser step, from 1, for error messages.
    pub(super) step: u64,
}

pub(super) struct BatchResult {
    pub(super) loss: f64,
    pub(super) tokens: usize,
    pub(super) supervised_tokens: usize,
    /// Per sequence.
    pub(super) logprobs: Vec<Vec<f32>>,
    /// Per matrix of the parameters.
    pub(super) gradients: Vec<Vec<f32>>,
    /// How far the policy is from its teachers: a part of the loss already.
    pub(super) divergences: Divergences,
}

impl BatchResult {
    pub(super) fn named(self, parameters: &Parameters) -> Result<LossAndGradients, TrainError> {
        let named = |(matrix, gradient): (&Parameter, &Vec<f32>)| {
            Ok((matrix.name(), Tensor::from_slice(gradient, &matrix.shape[..], &Device::Cpu)?))
        };
        let gradients = parameters.matrices.iter().zip(&self.gradients).map(named);
        Ok(LossAndGradients {
            loss: self.loss,
            supervised_tokens: self.supervised_tokens,
            gradients: gradients.collect::<Result<_, TrainError>>()?,
            logprobs: self.logprobs,
        })
    }
}

impl Batch<'_> {
    /// Loss and gradients, or `None` where the flag was raised before they were complete.
    pub(super) fn run(
        &self,
        passes: &mut Passes<'_>,
        parameters: &Parameters,
        loss: &mut dyn Loss,
        stop: &StopFlag,
    ) -> Result<Option<BatchResult>, TrainError> {
        let units: Vec<&[&Encoded]> = self.units.iter().map(|unit| unit.sequences.as_slice()).collect();
        let taught = Taught::of(self.teachers, &units, self.tokens_per_micro_batch, passes, stop)?;
        let Some(mut taught) = taught else { return Ok(None) };
        let mut policy = passes.policy(Some(parameters))?;
        let sequences = || self.units.iter().flat_map(|unit| &unit.sequences);
        let mut result = BatchResult {
            loss: 0.0,
            tokens: sequences().map(|sequence| sequence.tokens.len()).sum(),
            supervised_tokens: self.units.iter().map(Unit::targets).sum(),
            logprobs: vec![Vec::new(); sequences().count()],
            gradients: parameters.matrices.iter().map(|matrix| vec![0.0; matrix.values.len()]).collect(),
            divergences: Divergences::default(),
        };
        for row in self.micro_batches() {
            if stop.is_raised() {
                return Ok(None);
            }
            self.add_micro_batch(&row, &mut *policy, loss, &mut taught, &mut result)?;
        }
        result.divergences = taught.finish();
        Ok(Some(result))
    }

    /// Those that need no forward pass apart from the others.
    fn micro_batches(&self) -> Vec<Vec<usize>> {
        let all = 0..self.units.len();
        let (recalled, computed): (Vec<usize>, Vec<usize>) = all.partition(|at| self.units[*at].activations.is_some());
        let plan = |part: Vec<usize>| {
            let units: Vec<Vec<&Encoded>> = part.iter().map(|at| self.units[*at].sequences.clone()).collect();
            let rows = MicroBatch::plan(&units, self.tokens_per_micro_batch).into_iter();
            rows.map(move |row| row.into_iter().map(|at| part[at]).collect())
        };
        plan(recalled).chain(plan(computed)).collect()
    }

    /// The place of each unit's first sequence among all sequences of the batch.
    fn first_sequence(&self, at: usize) -> usize {
        self.units[..at].iter().map(|unit| unit.sequences.len()).sum()
    }

    /// Adds the share of the units in `row` to the result.
    fn add_micro_batch(
        &self,
        row: &[usize],
        policy: &mut dyn Policy,
        loss: &mut dyn Loss,
        taught: &mut Taught,
        result: &mut BatchResult,
    ) -> Result<(), TrainError> {
        let units: Vec<&Unit<'_>> = row.iter().map(|at| &self.units[*at]).collect();
        let chosen: Vec<&Encoded> = units.iter().flat_map(|unit| unit.sequences.iter().copied()).collect();
        let not_finite = |what| {
            let examples = units.iter().map(|unit| unit.name).collect();
            TrainError::NotFinite { what, step: self.step, examples }
        };
        let (mut value, of_batch) = (0.0, &mut result.logprobs);
        let mut slopes = |logprobs: &[f32], entropies: &[f32]| {
            let mut slopes = Vec::with_capacity(logprobs.len());
            let mut of_sequences = split(logprobs, &chosen).zip(split(entropies, &chosen));
            for (at, unit) in row.iter().zip(&units) {
                let targets: Vec<Targets<'_>> = of_sequences
                    .by_ref()
                    .take(unit.sequences.len())
                    .map(|(logprobs, entropies)| Targets { logprobs, entropies })
                    .collect();
                value += loss.add(*at, &targets, &mut slopes);
                for (targets, kept) in targets.iter().zip(&mut of_batch[self.first_sequence(*at)..]) {
                    *kept = targets.logprobs.to_vec();
                }
            }
            if value.is_finite() { Ok(slopes) } else { Err(not_finite("the loss")) }
        };
        let activations: Vec<Option<&RolloutActivations>> =
            units.iter().flat_map(|unit| unit.sequences.iter().map(|_| unit.activations)).collect();
        let micro_batch = MicroBatch::recalling(&chosen, &activations);
        let held = taught.held(row);
        let divergences =
            policy.learn(&micro_batch, self.temperature, held.as_ref(), &mut slopes, &mut result.gradients)?;
        result.loss += value + taught.take(row, &divergences);
        if !result.loss.is_finite() {
            return Err(not_finite("the divergence from a teacher"));
        }
        if result.gradients.iter().flatten().any(|value| !value.is_finite()) {
            return Err(not_finite("a gradient"));
        }
        Ok(())
    }
}
