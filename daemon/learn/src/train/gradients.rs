use std::{collections::BTreeMap, sync::Arc};

use candle_core::{Device, Tensor, Var};
use perennial_kernels::token_logprobs;
use rayon::prelude::*;

use super::{StopFlag, TrainError, packing::pack, parameters::Parameters, sft};
use crate::{
    adapter::Adapter,
    model::{Attention, Model, Rows},
    tokenize::Encoded,
};

/// What a batch says about an adapter.
#[derive(Debug)]
pub struct LossAndGradients {
    /// The mean negative log-probability of the batch's targets, in nats.
    pub loss: f64,
    /// The number of targets.
    pub supervised_tokens: usize,
    /// Per example, the log-probability of each of its targets in order.
    pub logprobs: Vec<Vec<f32>>,
    /// The gradient of the loss for each matrix of the adapter, under the matrix's name in PEFT's file.
    pub gradients: BTreeMap<String, Tensor>,
}

/// Loss and gradients of one batch, packed into micro-batches of up to `tokens_per_micro_batch` tokens: exactly what a
/// step of [`train`](super::train) computes before clipping.
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
    let all: Vec<usize> = (0..examples.len()).collect();
    let batch = Batch { model, examples, chosen: &all, tokens_per_micro_batch, step: 1 };
    let Some(result) = batch.run(&parameters, &StopFlag::new())? else { return Err(TrainError::NoExamples) };
    let named = |(matrix, gradient): (&super::parameters::Matrix, &Vec<f32>)| {
        Ok((matrix.name(), Tensor::from_slice(gradient, &matrix.shape[..], &Device::Cpu)?))
    };
    Ok(LossAndGradients {
        loss: result.loss,
        supervised_tokens: result.supervised_tokens,
        logprobs: result.logprobs,
        gradients: parameters.matrices.iter().zip(&result.gradients).map(named).collect::<Result<_, TrainError>>()?,
    })
}

/// The examples of one optimiser step.
pub(super) struct Batch<'a> {
    pub(super) model: &'a Model,
    pub(super) examples: &'a [Encoded],
    /// Indices into `examples`.
    pub(super) chosen: &'a [usize],
    pub(super) tokens_per_micro_batch: usize,
    /// The optimiser step, from 1, for error messages.
    pub(super) step: u64,
}

pub(super) struct BatchResult {
    pub(super) loss: f64,
    pub(super) tokens: usize,
    pub(super) supervised_tokens: usize,
    /// Per chosen example.
    pub(super) logprobs: Vec<Vec<f32>>,
    /// Per matrix of the parameters.
    pub(super) gradients: Vec<Vec<f32>>,
}

impl Batch<'_> {
    /// Loss and gradients, or `None` where the flag was raised before they were complete.
    pub(super) fn run(&self, parameters: &Parameters, stop: &StopFlag) -> Result<Option<BatchResult>, TrainError> {
        let chosen: Vec<&Encoded> = self.chosen.iter().map(|index| &self.examples[*index]).collect();
        let lengths: Vec<usize> = chosen.iter().map(|example| example.tokens.len()).collect();
        let supervised_tokens = chosen.iter().map(|example| targets_of(example).count()).sum();
        if supervised_tokens == 0 {
            return Err(TrainError::NoExamples);
        }
        let (adapter, variables) = parameters.to_variables()?;
        let zeros = |matrix: &super::parameters::Matrix| vec![0.0; matrix.values.len()];
        let mut result = BatchResult {
            loss: 0.0,
            tokens: lengths.iter().sum(),
            supervised_tokens,
            logprobs: vec![Vec::new(); chosen.len()],
            gradients: parameters.matrices.iter().map(zeros).collect(),
        };
        for row in pack(&lengths, self.tokens_per_micro_batch) {
            if stop.is_raised() {
                return Ok(None);
            }
            self.add_micro_batch(&chosen, &row, &adapter, &variables, &mut result)?;
        }
        Ok(Some(result))
    }

    /// Adds the share of the examples in `row` to the result. The graph of their forward pass ends here.
    fn add_micro_batch(
        &self,
        chosen: &[&Encoded],
        row: &[usize],
        adapter: &Adapter,
        variables: &[Var],
        result: &mut BatchResult,
    ) -> Result<(), TrainError> {
        let sequences: Vec<&[u32]> = row.iter().map(|at| chosen[*at].tokens.as_slice()).collect();
        let (rows, cu_seqlens) = Rows::packed(&sequences);
        let hidden = self.model.decoder.hidden(&rows, Attention::Packed(&cu_seqlens), Some(adapter))?;

        let (predicting, targets) = predictions(chosen, row, &cu_seqlens);
        let predicting = Tensor::from_vec(predicting, targets.len(), &Device::Cpu)?;
        let hidden = hidden.index_select(&predicting, 0)?;
        let logprobs = token_logprobs(&hidden, self.model.decoder.head_weight(), &targets)?;

        let values: Vec<f32> = logprobs.to_vec1()?;
        let not_finite = |what| TrainError::NotFinite {
            what,
            step: self.step,
            examples: row.iter().map(|at| self.chosen[*at]).collect(),
        };
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        if !sum.is_finite() {
            return Err(not_finite("the loss"));
        }
        result.loss -= sum / result.supervised_tokens as f64;
        let mut rest = values.as_slice();
        for at in row {
            let (own, others) = rest.split_at(targets_of(chosen[*at]).count());
            result.logprobs[*at] = own.to_vec();
            rest = others;
        }

        let store = sft::loss(&logprobs, result.supervised_tokens)?.backward()?;
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

/// The places of an example's targets. Nothing predicts its first token, so that is none.
pub(super) fn targets_of(example: &Encoded) -> impl Iterator<Item = usize> {
    example.supervised.iter().enumerate().skip(1).filter(|(_, supervised)| **supervised).map(|(place, _)| place)
}

/// The rows of a pack that predict a target, and those targets. A target is predicted by the row before it.
fn predictions(chosen: &[&Encoded], row: &[usize], cu_seqlens: &[u32]) -> (Vec<u32>, Arc<[u32]>) {
    let (mut predicting, mut targets) = (Vec::new(), Vec::new());
    for (at, start) in row.iter().zip(cu_seqlens) {
        for place in targets_of(chosen[*at]) {
            predicting.push(start + place as u32 - 1);
            targets.push(chosen[*at].tokens[place]);
        }
    }
    (predicting, targets.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_predicted_by_the_row_before_it_in_its_own_sequence() {
        let one = Encoded { tokens: vec![5, 6, 7], supervised: vec![true, false, true] };
        let two = Encoded { tokens: vec![8, 9], supervised: vec![false, true] };
        let (predicting, targets) = predictions(&[&one, &two], &[1, 0], &[0, 2, 5]);
        assert_eq!(predicting, [0, 3]);
        assert_eq!(&*targets, [9, 7]);
    }
}
