use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use perennial_kernels::token_logprobs_and_gradients;

use super::{
    StopFlag, TrainError,
    forward::{MicroBatch, split, targets_of},
    parameters::{Parameter, Parameters},
    sft,
};
use crate::{
    adapter::Adapter,
    model::{LoraWeights, Matrix, Model, Workspace},
    tokenize::Encoded,
};

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
    let batch = Batch {
        model,
        examples: &examples,
        names: &names,
        temperature: 1.0,
        tokens_per_micro_batch,
        memory_bytes_max: None,
        step: 1,
    };
    let mut objective = sft::Objective::over(&examples)?;
    let mut workspace = Workspace::default();
    let result = batch.run(&parameters, &mut objective, &StopFlag::new(), &mut workspace)?;
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
    pub(super) model: &'a Model,
    pub(super) examples: &'a [&'a Encoded],
    /// What the examples are called in error messages.
    pub(super) names: &'a [usize],
    /// Divides the logits.
    pub(super) temperature: f64,
    pub(super) tokens_per_micro_batch: usize,
    /// What a micro-batch may keep for its backward pass.
    pub(super) memory_bytes_max: Option<u64>,
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
        parameters: &Parameters,
        objective: &mut dyn Objective,
        stop: &StopFlag,
        workspace: &mut Workspace,
    ) -> Result<Option<BatchResult>, TrainError> {
        let lora = parameters.to_weights(self.model.decoder.precision());
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
            self.add_micro_batch(&row, &lora, objective, &mut result, workspace)?;
        }
        Ok(Some(result))
    }

    /// Adds the share of the examples in `row` to the result.
    fn add_micro_batch(
        &self,
        row: &[usize],
        lora: &LoraWeights,
        objective: &mut dyn Objective,
        result: &mut BatchResult,
        workspace: &mut Workspace,
    ) -> Result<(), TrainError> {
        let chosen: Vec<&Encoded> = row.iter().map(|at| self.examples[*at]).collect();
        let micro_batch = MicroBatch::new(&chosen);
        let (hidden, tape) =
            micro_batch.forward(self.model, lora, self.temperature, self.memory_bytes_max, workspace)?;
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

        let d_hidden = micro_batch.spread(&head.gradient(&slopes), hidden.cols(), self.temperature);
        tape.backward(&d_hidden, &mut result.gradients, workspace)?;
        if result.gradients.iter().flatten().any(|value| !value.is_finite()) {
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
    d_logprobs: Vec<f32>,
}

impl Head {
    fn new(hidden: &Matrix, model: &Model, micro_batch: &MicroBatch) -> Result<Self, TrainError> {
        let head = model.decoder.head_weight();
        let (logprobs, d_logprobs) = token_logprobs_and_gradients(hidden.values(), head, &micro_batch.targets)?;
        // d log p / dh = w_target − Σ p·w, so that h · d log p / dh = logit_target − Σ p·logit, and less log p that is the
        // entropy log Σ exp(logit) − Σ p·logit.
        let rows = hidden.rows().zip(d_logprobs.chunks_exact(hidden.cols())).zip(&logprobs);
        let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>();
        let entropies = rows.map(|((hidden, slope), logprob)| dot(hidden, slope) - logprob).collect();
        Ok(Self { logprobs, entropies, d_logprobs })
    }

    /// The gradient of the loss by the hidden states, given its slope by each log-probability.
    fn gradient(mut self, slopes: &[f32]) -> Vec<f32> {
        let cols = self.d_logprobs.len().checked_div(slopes.len()).unwrap_or(0).max(1);
        for (row, slope) in self.d_logprobs.chunks_exact_mut(cols).zip(slopes) {
            row.iter_mut().for_each(|value| *value *= slope);
        }
        self.d_logprobs
    }
}
