use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::{
    StopFlag, TrainDevice, TrainError,
    forward::{MicroBatch, split, targets_of},
    parameters::{Parameter, Parameters},
    passes::{Passes, Policy},
    sft,
};
use crate::{adapter::Adapter, model::Model, rollout::RolloutActivations, tokenize::Encoded};

/// What a batch says about an adapter.
#[derive(Debug)]
pub struct LossAndGradients {
    /// The loss of the batch.
    pub loss: f64,
    /// The number of targets.
    pub supervised_tokens: usize,
    /// Per example, the log-probability of each of its targets in order.
    pub logprobs: Vec<Vec<f32>>,
    /// The gradient of the loss for each matrix of the adapter, under the matrix's name in PEFT's file.
    pub gradients: BTreeMap<String, Tensor>,
}

/// Loss and gradients of one batch on a device, packed into micro-batches of up to `tokens_per_micro_batch` tokens: exactly
/// what a step of [`train`](super::train) computes before clipping. The loss is the mean negative log-probability of the targets,
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
    let examples: Vec<&Encoded> = examples.iter().collect();
    let names: Vec<usize> = (0..examples.len()).collect();
    let batch = Batch {
        examples: &examples,
        activations: &[],
        names: &names,
        temperature: 1.0,
        tokens_per_micro_batch,
        step: 1,
    };
    let mut objective = sft::Objective::over(&examples)?;
    let mut passes = Passes::on(device, model)?;
    let result = batch.run(&mut passes, &parameters, &mut objective, &StopFlag::new())?;
    let result = result.ok_or(TrainError::NoExamples)?;
    result.named(&parameters)
}

/// A loss that is a sum over examples, each a function of the log-probabilities of that example's targets alone.
pub(super) trait Objective {
    /// The share of the example at this place of the batch, and its derivative by each log-probability, appended to
    /// `slopes`.
    fn add(&mut self, at: usize, targets: &Targets<'_>, slopes: &mut Vec<f32>) -> f64;
}

/// The targets of one example under the policy.
pub(super) struct Targets<'a> {
    /// The log-probability of each.
    pub(super) logprobs: &'a [f32],
    /// The entropy of the distribution of each, in nats.
    pub(super) entropies: &'a [f32],
}

/// The examples of one optimiser step.
pub(super) struct Batch<'a> {
    pub(super) examples: &'a [&'a Encoded],
    /// What the passes of this policy that drew the first of the examples have left behind.
    pub(super) activations: &'a [Option<&'a RolloutActivations>],
    /// What the examples are called in error messages.
    pub(super) names: &'a [usize],
    /// Divides the logits.
    pub(super) temperature: f64,
    pub(super) tokens_per_micro_batch: usize,
    /// The optimiser step, from 1, for error messages.
    pub(super) step: u64,
}

pub(super) struct BatchResult {
    pub(super) loss: f64,
    pub(super) tokens: usize,
    pub(super) supervised_tokens: usize,
    /// Per example.
    pub(super) logprobs: Vec<Vec<f32>>,
    /// Per matrix of the parameters.
    pub(super) gradients: Vec<Vec<f32>>,
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
        objective: &mut dyn Objective,
        stop: &StopFlag,
    ) -> Result<Option<BatchResult>, TrainError> {
        let mut policy = passes.policy(Some(parameters))?;
        let mut result = BatchResult {
            loss: 0.0,
            tokens: self.examples.iter().map(|example| example.tokens.len()).sum(),
            supervised_tokens: self.examples.iter().map(|example| targets_of(example).count()).sum(),
            logprobs: vec![Vec::new(); self.examples.len()],
            gradients: parameters.matrices.iter().map(|matrix| vec![0.0; matrix.values.len()]).collect(),
        };
        for row in self.micro_batches() {
            if stop.is_raised() {
                return Ok(None);
            }
            self.add_micro_batch(&row, &mut *policy, objective, &mut result)?;
        }
        Ok(Some(result))
    }

    /// Those that need no forward pass apart from the others.
    fn micro_batches(&self) -> Vec<Vec<usize>> {
        let all = 0..self.examples.len();
        let (recalled, computed): (Vec<usize>, Vec<usize>) = all.partition(|at| self.activations_of(*at).is_some());
        let plan = |part: Vec<usize>| {
            let examples: Vec<&Encoded> = part.iter().map(|at| self.examples[*at]).collect();
            let rows = MicroBatch::plan(&examples, self.tokens_per_micro_batch).into_iter();
            rows.map(move |row| row.into_iter().map(|at| part[at]).collect())
        };
        plan(recalled).chain(plan(computed)).collect()
    }

    fn activations_of(&self, at: usize) -> Option<&RolloutActivations> {
        self.activations.get(at).copied().flatten()
    }

    /// Adds the share of the examples in `row` to the result.
    fn add_micro_batch(
        &self,
        row: &[usize],
        policy: &mut dyn Policy,
        objective: &mut dyn Objective,
        result: &mut BatchResult,
    ) -> Result<(), TrainError> {
        let chosen: Vec<&Encoded> = row.iter().map(|at| self.examples[*at]).collect();
        let not_finite = |what| {
            let examples = row.iter().map(|at| self.names[*at]).collect();
            TrainError::NotFinite { what, step: self.step, examples }
        };
        let (mut loss, of_batch) = (0.0, &mut result.logprobs);
        let mut slopes = |logprobs: &[f32], entropies: &[f32]| {
            let mut slopes = Vec::with_capacity(logprobs.len());
            let of_examples = split(logprobs, &chosen).zip(split(entropies, &chosen));
            for (at, (logprobs, entropies)) in row.iter().zip(of_examples) {
                loss += objective.add(*at, &Targets { logprobs, entropies }, &mut slopes);
                of_batch[*at] = logprobs.to_vec();
            }
            if loss.is_finite() { Ok(slopes) } else { Err(not_finite("the loss")) }
        };
        let activations: Vec<Option<&RolloutActivations>> = row.iter().map(|at| self.activations_of(*at)).collect();
        let micro_batch = MicroBatch::recalling(&chosen, &activations);
        policy.learn(&micro_batch, self.temperature, &mut slopes, &mut result.gradients)?;
        result.loss += loss;
        if result.gradients.iter().flatten().any(|value| !value.is_finite()) {
            return Err(not_finite("a gradient"));
        }
        Ok(())
    }
}
