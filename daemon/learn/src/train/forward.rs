use std::sync::Arc;

use candle_core::{Device, Result, Tensor};
use perennial_kernels::token_logprobs;

use super::{StopFlag, packing::pack};
use crate::{
    adapter::Adapter,
    model::{Attention, Model, Rows},
    tokenize::Encoded,
};

/// Examples that go through the model together, without padding.
pub(super) struct MicroBatch {
    rows: Rows,
    cu_seqlens: Arc<[u32]>,
    /// The rows that predict a target.
    predicting: Vec<u32>,
    /// The targets, example after example.
    pub(super) targets: Arc<[u32]>,
}

impl MicroBatch {
    pub(super) fn new(examples: &[&Encoded]) -> Self {
        let sequences: Vec<&[u32]> = examples.iter().map(|example| example.tokens.as_slice()).collect();
        let (rows, cu_seqlens) = Rows::packed(&sequences);
        let (mut predicting, mut targets) = (Vec::new(), Vec::new());
        for (example, start) in examples.iter().zip(&*cu_seqlens) {
            for place in targets_of(example) {
                // A target is predicted by the row before it.
                predicting.push(start + place as u32 - 1);
                targets.push(example.tokens[place]);
            }
        }
        Self { rows, cu_seqlens, predicting, targets: targets.into() }
    }

    /// The final hidden states of the rows that predict a target, divided by `temperature`: `[targets, hidden]`.
    pub(super) fn hidden(&self, model: &Model, adapter: &Adapter, temperature: f64) -> Result<Tensor> {
        let hidden = model.decoder.hidden(&self.rows, Attention::Packed(&self.cu_seqlens), Some(adapter))?;
        self.select(&hidden, temperature)
    }

    /// As [`hidden`](Self::hidden), without a graph.
    fn hidden_detached(&self, model: &Model, adapter: Option<&Adapter>, temperature: f64) -> Result<Tensor> {
        let hidden = model.decoder.hidden_detached(&self.rows, Attention::Packed(&self.cu_seqlens), adapter)?;
        self.select(&hidden, temperature)
    }

    fn select(&self, hidden: &Tensor, temperature: f64) -> Result<Tensor> {
        let predicting = Tensor::from_slice(&self.predicting, self.predicting.len(), &Device::Cpu)?;
        let hidden = hidden.index_select(&predicting, 0)?;
        // The logits are linear in these.
        if temperature == 1.0 { Ok(hidden) } else { hidden / temperature }
    }
}

/// The log-probability of each target of each example, the logits divided by `temperature`; `None` where the flag was raised
/// before they were complete.
pub(super) fn logprobs(
    model: &Model,
    adapter: Option<&Adapter>,
    examples: &[&Encoded],
    temperature: f64,
    tokens_per_micro_batch: usize,
    stop: &StopFlag,
) -> Result<Option<Vec<Vec<f32>>>> {
    let lengths: Vec<usize> = examples.iter().map(|example| example.tokens.len()).collect();
    let mut all = vec![Vec::new(); examples.len()];
    for row in pack(&lengths, tokens_per_micro_batch) {
        if stop.is_raised() {
            return Ok(None);
        }
        let chosen: Vec<&Encoded> = row.iter().map(|at| examples[*at]).collect();
        let micro_batch = MicroBatch::new(&chosen);
        let hidden = micro_batch.hidden_detached(model, adapter, temperature)?;
        let values = token_logprobs(&hidden, model.decoder.head_weight(), &micro_batch.targets)?.to_vec1()?;
        for (at, own) in row.iter().zip(split(&values, &chosen)) {
            all[*at] = own.to_vec();
        }
    }
    Ok(Some(all))
}

/// Cuts a value per target into the values of each example.
pub(super) fn split<'a, T>(values: &'a [T], examples: &'a [&Encoded]) -> impl Iterator<Item = &'a [T]> {
    examples.iter().scan(values, |rest, example| {
        let (own, others) = rest.split_at(targets_of(example).count());
        *rest = others;
        Some(own)
    })
}

/// The places of an example's targets. Nothing predicts its first token, so that is none.
pub(super) fn targets_of(example: &Encoded) -> impl Iterator<Item = usize> {
    example.supervised.iter().enumerate().skip(1).filter(|(_, supervised)| **supervised).map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_predicted_by_the_row_before_it_in_its_own_sequence() {
        let one = Encoded { tokens: vec![5, 6, 7], supervised: vec![true, false, true] };
        let two = Encoded { tokens: vec![8, 9], supervised: vec![false, true] };
        let micro_batch = MicroBatch::new(&[&two, &one]);
        assert_eq!(micro_batch.predicting, [0, 3]);
        assert_eq!(&*micro_batch.targets, [9, 7]);
        assert_eq!(split(&[1, 2], &[&two, &one]).collect::<Vec<_>>(), [[1], [2]]);
    }
}
