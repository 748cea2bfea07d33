use std::collections::BTreeMap;

use candle_core::Result;
use perennial_kernels::token_logprobs;

use super::{StopFlag, activations::ActivationPlan, packing::pack};
use crate::{
    adapter::Adapter,
    model::{Attention, Branches, LoraWeights, Matrix, Model, Packing, Tape, Workspace},
    tokenize::Encoded,
};

/// Examples that go through the model together, without padding. What comes before the first target is computed once for all
/// examples that have it in common, as the completions of one prompt do.
pub(super) struct MicroBatch {
    branches: Branches,
    /// The rows that predict a target.
    predicting: Vec<u32>,
    /// The targets, example after example.
    pub(super) targets: Vec<u32>,
}

impl MicroBatch {
    pub(super) fn new(examples: &[&Encoded]) -> Self {
        let sequences: Vec<(&[u32], usize)> =
            examples.iter().map(|example| (example.tokens.as_slice(), prompt_of(example).len())).collect();
        let branches = Branches::new(&sequences);
        let (mut predicting, mut targets) = (Vec::new(), Vec::new());
        for (index, example) in examples.iter().enumerate() {
            for place in targets_of(example) {
                // A target is predicted by the row before it.
                predicting.push(branches.row_of(index, place - 1));
                targets.push(example.tokens[place]);
            }
        }
        Self { branches, predicting, targets }
    }

    /// Divides examples into micro-batches of at most so many tokens to compute, those with the same prompt together.
    pub(super) fn plan(examples: &[&Encoded], tokens_max: usize) -> Vec<Vec<usize>> {
        let mut prompts: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
        for (index, example) in examples.iter().enumerate() {
            prompts.entry(prompt_of(example)).or_default().push(index);
        }
        let mut parts: Vec<(Vec<usize>, usize)> = Vec::new();
        for (prompt, indices) in prompts {
            let mut part = (Vec::new(), prompt.len());
            for index in indices {
                let own = examples[index].tokens.len() - prompt.len();
                if !part.0.is_empty() && part.1 + own > tokens_max {
                    parts.push(std::mem::replace(&mut part, (Vec::new(), prompt.len())));
                }
                part.0.push(index);
                part.1 += own;
            }
            parts.push(part);
        }
        // In the order of the examples, not of their tokens.
        parts.sort_unstable_by_key(|(indices, _)| indices[0]);
        let lengths: Vec<usize> = parts.iter().map(|(_, length)| *length).collect();
        let rows = pack(&lengths, tokens_max);
        rows.into_iter().map(|row| row.into_iter().flat_map(|part| parts[part].0.clone()).collect()).collect()
    }

    /// The final hidden states of the rows that predict a target, divided by `temperature`: `[targets, hidden]`. And the way
    /// back from the hidden states of all rows.
    pub(super) fn forward<'a>(
        &'a self,
        model: &'a Model,
        lora: &'a LoraWeights,
        temperature: f64,
        memory_bytes_max: Option<u64>,
        workspace: &mut Workspace,
    ) -> Result<(Matrix, Tape<'a>)> {
        let (rows, packing) = (self.branches.rows(), Packing::Branches(&self.branches));
        let plan = ActivationPlan::new(&model.decoder, lora, rows.len(), memory_bytes_max);
        let (hidden, tape) = model.decoder.forward(rows, packing, lora, plan.layers_kept, workspace)?;
        Ok((self.select(&hidden, temperature), tape))
    }

    /// The gradient of the hidden states of all rows, given that of those that [`forward`](Self::forward) gives.
    pub(super) fn spread(&self, d_hidden: &[f32], cols: usize, temperature: f64) -> Matrix {
        let mut spread = vec![0.0; self.branches.rows().len() * cols];
        for (row, d_hidden) in self.predicting.iter().zip(d_hidden.chunks_exact(cols)) {
            let sums = spread[*row as usize * cols..][..cols].iter_mut();
            sums.zip(d_hidden).for_each(|(sum, value)| *sum += value / temperature as f32);
        }
        Matrix::new(spread, cols)
    }

    /// As [`forward`](Self::forward), without a way back.
    fn hidden(
        &self,
        model: &Model,
        lora: Option<&LoraWeights>,
        temperature: f64,
        workspace: &mut Workspace,
    ) -> Result<Matrix> {
        let attention = Attention::Branches(&self.branches);
        let hidden = model.decoder.hidden(self.branches.rows(), attention, lora, workspace)?;
        Ok(self.select(&hidden, temperature))
    }

    fn select(&self, hidden: &Matrix, temperature: f64) -> Matrix {
        let mut hidden = hidden.select(&self.predicting);
        if temperature != 1.0 {
            // The logits are linear in these.
            hidden.values_mut().iter_mut().for_each(|value| *value /= temperature as f32);
        }
        hidden
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
    let mut all = vec![Vec::new(); examples.len()];
    let lora = adapter.map(|adapter| LoraWeights::new(adapter, model.decoder.precision())).transpose()?;
    let mut workspace = Workspace::default();
    for row in MicroBatch::plan(examples, tokens_per_micro_batch) {
        if stop.is_raised() {
            return Ok(None);
        }
        let chosen: Vec<&Encoded> = row.iter().map(|at| examples[*at]).collect();
        let micro_batch = MicroBatch::new(&chosen);
        let hidden = micro_batch.hidden(model, lora.as_ref(), temperature, &mut workspace)?;
        let values = token_logprobs(hidden.values(), model.decoder.head_weight(), &micro_batch.targets)?;
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

/// What comes before an example's first target.
fn prompt_of(example: &Encoded) -> &[u32] {
    &example.tokens[..targets_of(example).next().unwrap_or(0)]
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
        assert_eq!(micro_batch.targets, [9, 7]);
        assert_eq!(split(&[1, 2], &[&two, &one]).collect::<Vec<_>>(), [[1], [2]]);
    }

    #[test]
    fn examples_of_one_prompt_go_together_as_long_as_they_fit() {
        let example = |prompt: u32, own: usize| {
            let tokens = [vec![prompt; 10], vec![1; own]].concat();
            Encoded { supervised: (0..10 + own).map(|place| place >= 10).collect(), tokens }
        };
        let examples = [example(7, 5), example(3, 5), example(7, 6), example(7, 4), example(3, 2)];
        let examples: Vec<&Encoded> = examples.iter().collect();
        let shared = MicroBatch::new(&examples);
        assert_eq!(shared.branches.rows().len(), 2 * 10 + 22);
        assert_eq!(MicroBatch::plan(&examples, 21), [vec![0, 2], vec![1, 4], vec![3]]);
        assert_eq!(MicroBatch::plan(&examples, 100), [vec![0, 2, 3, 1, 4]]);
        assert_eq!(MicroBatch::plan(&examples, 1), [vec![2], vec![0], vec![1], vec![3], vec![4]]);
    }
}
