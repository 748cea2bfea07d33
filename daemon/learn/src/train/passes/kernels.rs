use perennial_kernels::{divergences_and_gradients, token_logprobs, token_logprobs_and_gradients};

use super::{
    super::{TrainError, activations::ActivationPlan, micro_batch::MicroBatch, parameters::Parameters},
    Held, Policy, Slopes,
};
use crate::model::{AdapterWeights, Attention, Matrix, Model, Packing, Workspace};

/// The passes by hand.
pub(in crate::train) struct Kernels<'a> {
    model: &'a Model,
    /// What a micro-batch may keep for its backward pass.
    memory_bytes_max: Option<u64>,
    workspace: Workspace,
}

pub(super) struct KernelsPolicy<'p> {
    model: &'p Model,
    memory_bytes_max: Option<u64>,
    workspace: &'p mut Workspace,
    adapter: AdapterWeights,
}

impl<'a> Kernels<'a> {
    pub(super) fn new(model: &'a Model, memory_bytes_max: Option<u64>) -> Self {
        Self { model, memory_bytes_max, workspace: Workspace::default() }
    }

    pub(super) fn policy<'p>(&'p mut self, adapter: Option<&Parameters>) -> candle_core::Result<KernelsPolicy<'p>> {
        let Self { model, memory_bytes_max, workspace } = self;
        let adapter = adapter.map(|adapter| adapter.to_weights(&model.decoder)).transpose()?.unwrap_or_default();
        Ok(KernelsPolicy { model, memory_bytes_max: *memory_bytes_max, workspace, adapter })
    }
}

impl Policy for KernelsPolicy<'_> {
    fn logprobs(&mut self, micro_batch: &MicroBatch<'_>, temperature: f64) -> candle_core::Result<Vec<f32>> {
        let (decoder, branches) = (&self.model.decoder, &micro_batch.branches);
        let attention = Attention::Branches(branches);
        let hidden = decoder.hidden(branches.rows(), attention, Some(&self.adapter), self.workspace)?;
        let hidden = hidden.select(&micro_batch.predicting);
        token_logprobs(hidden.values(), decoder.head_weight(), temperature as f32, &micro_batch.targets)
    }

    fn hidden(&mut self, micro_batch: &MicroBatch<'_>) -> candle_core::Result<Vec<f32>> {
        let (decoder, branches) = (&self.model.decoder, &micro_batch.branches);
        let attention = Attention::Branches(branches);
        let hidden = decoder.hidden(branches.rows(), attention, Some(&self.adapter), self.workspace)?;
        Ok(hidden.select(&micro_batch.predicting).values().to_vec())
    }

    fn learn(
        &mut self,
        micro_batch: &MicroBatch<'_>,
        temperature: f64,
        held: Option<&Held>,
        slopes: &mut Slopes<'_>,
        gradients: &mut [Vec<f32>],
    ) -> Result<Vec<f32>, TrainError> {
        let Self { model, memory_bytes_max, workspace, adapter } = self;
        let (rows, packing) = (micro_batch.branches.rows(), Packing::Branches(&micro_batch.branches));
        let (hidden, tape) = match &micro_batch.kept_rows {
            Some(kept_rows) => model.decoder.recall(kept_rows, &micro_batch.branches, adapter, workspace)?,
            None => {
                let plan = ActivationPlan::new(&model.decoder, adapter, rows.len(), *memory_bytes_max);
                model.decoder.forward(rows, packing, adapter, plan.layers_kept, workspace)?
            }
        };
        let hidden = hidden.select(&micro_batch.predicting);
        let head = Head::new(&hidden, model, temperature as f32, &micro_batch.targets)?;
        let slopes = slopes(&head.logprobs, &head.entropies)?;
        let mut d_hidden = head.gradient(&slopes);
        let divergences = match held {
            Some(held) => hold(held, &hidden, model, temperature as f32, &mut d_hidden)?,
            None => Vec::new(),
        };
        tape.backward(&spread(micro_batch, &d_hidden, hidden.cols()), gradients, workspace)?;
        Ok(divergences)
    }
}

/// Adds the slopes of the weighted divergences to the gradient of the hidden states, and returns each of them; 0 at targets that are
/// not held.
fn hold(
    held: &Held,
    hidden: &Matrix,
    model: &Model,
    temperature: f32,
    d_hidden: &mut [f32],
) -> candle_core::Result<Vec<f32>> {
    let cols = hidden.cols();
    let rows: Vec<usize> = (0..held.weights.len()).filter(|row| held.weights[*row] != 0.0).collect();
    let of_rows = |values: &[f32]| -> Vec<f32> {
        rows.iter().flat_map(|row| &values[row * cols..(row + 1) * cols]).copied().collect()
    };
    let (own, reference) = (of_rows(hidden.values()), of_rows(&held.hidden));
    let (found, slopes) = divergences_and_gradients(&own, &reference, model.decoder.head_weight(), temperature)?;
    let mut divergences = vec![0.0; held.weights.len()];
    for ((row, divergence), slopes) in rows.iter().zip(found).zip(slopes.chunks_exact(cols)) {
        divergences[*row] = divergence;
        let sums = d_hidden[row * cols..(row + 1) * cols].iter_mut();
        sums.zip(slopes).for_each(|(sum, slope)| *sum += held.weights[*row] * slope);
    }
    Ok(divergences)
}

/// The gradient of the hidden states of all rows, given that of those that predict a target.
fn spread(micro_batch: &MicroBatch<'_>, d_hidden: &[f32], cols: usize) -> Matrix {
    let mut spread = vec![0.0; micro_batch.branches.rows().len() * cols];
    for (row, d_hidden) in micro_batch.predicting.iter().zip(d_hidden.chunks_exact(cols)) {
        let sums = spread[*row as usize * cols..][..cols].iter_mut();
        sums.zip(d_hidden).for_each(|(sum, value)| *sum += value);
    }
    Matrix::new(spread, cols)
}

/// What the head says about the targets of a micro-batch.
struct Head {
    logprobs: Vec<f32>,
    entropies: Vec<f32>,
    /// The derivative of each log-probability by its hidden state, `[targets, hidden]`.
    d_logprobs: Vec<f32>,
}

impl Head {
    fn new(hidden: &Matrix, model: &Model, temperature: f32, targets: &[u32]) -> candle_core::Result<Self> {
        let head = model.decoder.head_weight();
        let (logprobs, d_logprobs) = token_logprobs_and_gradients(hidden.values(), head, temperature, targets)?;
        // d log p / dh = (w_target − Σ p·w) / temperature, so that h · d log p / dh = logit_target − Σ p·logit, and less log p
        // that is the entropy log Σ exp(logit) − Σ p·logit.
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
