use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use perennial_kernels::token_logprobs;
use rayon::prelude::*;

use super::{
    StopFlag, TrainError,
    forward::{MicroBatch, split, targets_of},
    parameters::{Matrix, Parameters},
    sft,
};
use crate::{adapter::Adapter, model::Model, tokenize::Encoded};

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

/// Loss and gradients of one batch, packed into micro-batches of up to `tokens_per_micro_batch` tokens: exactly what a
/// step of [`train`](super::train) computes before clipping. The loss is the mean negative log-probability of the targets,
/// in nats.
///
/// # Errors
/// [`TrainError`]
pub fn loss_and_gradients(
    model: &Model,
    adapter: &Adapter,
    examples: &[Encoded],
    tokens_per_micro_batch: usize,
) -> Result<LossAndGradients, TrainError> {
    let parameters = Parameters::from_adapter(adapter)?;
    let examples: Vec<&Encoded> = examples.iter().collect();
    let names: Vec<usize> = (0..examples.len()).collect();
    let batch = Batch { model, examples: &examples, names: &names, temperature: 1.0, tokens_per_micro_batch, step: 1 };
    let mut objective = sft::Objective::over(&examples)?;
    let result = batch.run(&parameters, &mut objective, &StopFlag::new())?.ok_or(TrainError::NoExamples)?;
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
    pub(super) model: &'a Model,
    pub(super) examples: &'a [&'a Encoded],
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
        let named = |(matrix, gradient): (&Matrix, &Vec<f32>)| {
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
        parameters: &Parameters,
        objective: &mut dyn Objective,
        stop: &StopFlag,
    ) -> Result<Option<BatchResult>, TrainError> {
        let (adapter, variables) = parameters.to_variables()?;
        let mut result = BatchResult {
            loss: 0.0,
            tokens: self.examples.iter().map(|example| example.tokens.len()).sum(),
            supervised_tokens: self.examples.iter().map(|example| targets_of(example).count()).sum(),
            logprobs: vec![Vec::new(); self.examples.len()],
            gradients: parameters.matrices.iter().map(|matrix| vec![0.0; matrix.values.len()]).collect(),
        };
        for row in MicroBatch::plan(self.examples, self.tokens_per_micro_batch) {
            if stop.is_raised() {
                return Ok(None);
            }
            self.add_micro_batch(&row, &adapter, &variables, objective, &mut result)?;
        }
        Ok(Some(result))
    }

    /// Adds the share of the examples in `row` to the result. The graph of their forward pass ends here.
    fn add_micro_batch(
        &self,
        row: &[usize],
        adapter: &Adapter,
        variables: &[Var],
        objective: &mut dyn Objective,
        result: &mut BatchResult,
    ) -> Result<(), TrainError> {
        let chosen: Vec<&Encoded> = row.iter().map(|at| self.examples[*at]).collect();
        let micro_batch = MicroBatch::new(&chosen)?;
        let hidden = micro_batch.hidden(self.model, adapter, self.temperature)?;
        let head = Head::new(&hidden, self.model, &micro_batch)?;

        let mut slopes = Vec::with_capacity(head.logprobs.len());
        let mut loss = 0.0;
        let of_examples = split(&head.logprobs, &chosen).zip(split(&head.entropies, &chosen));
        for (at, (logprobs, entropies)) in row.iter().zip(of_examples) {
            loss += objective.add(*at, &Targets { logprobs, entropies }, &mut slopes);
            result.logprobs[*at] = logprobs.to_vec();
        }
        let not_finite = |what| {
            let examples = row.iter().map(|at| self.names[*at]).collect();
            TrainError::NotFinite { what, step: self.step, examples }
        };
        if !loss.is_finite() {
            return Err(not_finite("the loss"));
        }
        result.loss += loss;

        // dL/dh is known by the chain rule, and Σ h · dL/dh has just that gradient: it takes the backward pass on from there.
        let slopes = Tensor::from_vec(slopes, (head.logprobs.len(), 1), &Device::Cpu)?;
        let d_hidden = head.d_logprobs.broadcast_mul(&slopes)?;
        let store = (hidden * d_hidden)?.sum_all()?.backward()?;
        let add = |(sum, variable): (&mut Vec<f32>, &Var)| -> Result<bool, TrainError> {
            // A variable that the loss does not reach has no gradient: its layer was never run.
            let Some(gradient) = store.get(variable) else { return Ok(true) };
            let gradient: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
            sum.iter_mut().zip(&gradient).for_each(|(sum, value)| *sum += value);
            Ok(gradient.iter().all(|value| value.is_finite()))
        };
        let finite: Vec<bool> = result.gradients.par_iter_mut().zip(variables).map(add).collect::<Result<_, _>>()?;
        if !finite.into_iter().all(|finite| finite) {
            return Err(not_finite("a gradient"));
        }
        Ok(())
    }
}

/// What the head says about the targets of a micro-batch.
struct Head {
    logprobs: Vec<f32>,
    entropies: Vec<f32>,
    /// The derivative of each log-probability by its hidden state, `[targets, hidden]`.
    d_logprobs: Tensor,
}

impl Head {
    fn new(hidden: &Tensor, model: &Model, micro_batch: &MicroBatch) -> Result<Self, TrainError> {
        let hidden = Var::from_tensor(&hidden.detach())?;
        let logprobs = token_logprobs(&hidden, model.decoder.head_weight(), &micro_batch.targets)?;
        let Some(d_logprobs) = logprobs.sum_all()?.backward()?.remove(&hidden) else {
            return Err(candle_core::Error::Msg("the log-probabilities have no gradient".to_owned()).into());
        };
        let d_logprobs = d_logprobs.detach();
        // d log p / dh = w_target − Σ p·w, so that h · d log p / dh = logit_target − Σ p·logit, and less log p that is the
        // entropy log Σ exp(logit) − Σ p·logit.
        let entropies = ((hidden.as_tensor() * &d_logprobs)?.sum(1)? - &logprobs)?;
        Ok(Self { logprobs: logprobs.to_vec1()?, entropies: entropies.to_vec1()?, d_logprobs })
    }
}
