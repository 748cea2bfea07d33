use std::collections::BTreeMap;

use super::packing::pack;
use crate::{
    decode::RolloutActivations,
    model::{Branches, KeptRow},
    tokenize::Encoded,
};

/// Examples that go through the model together, without padding. What comes before the first target is computed once for all
/// examples that have it in common, as the completions of one prompt do; what comes after all that predicts a target is left
/// out.
pub(super) struct MicroBatch<'a> {
    pub(super) branches: Branches,
    /// What rollouts have left behind of all rows.
    pub(super) kept_rows: Option<Vec<&'a KeptRow>>,
    /// The rows that predict a target.
    pub(super) predicting: Vec<u32>,
    /// The targets, example after example.
    pub(super) targets: Vec<u32>,
}

impl<'a> MicroBatch<'a> {
    pub(super) fn new(examples: &[&Encoded]) -> Self {
        let sequences: Vec<(&[u32], usize)> =
            examples.iter().map(|example| (predicting_of(example), prompt_of(example).len())).collect();
        let branches = Branches::new(&sequences);
        let (mut predicting, mut targets) = (Vec::new(), Vec::new());
        for (index, example) in examples.iter().enumerate() {
            for place in targets_of(example) {
                // A target is predicted by the row before it.
                predicting.push(branches.row_of(index, place - 1));
                targets.push(example.tokens[place]);
            }
        }
        Self { branches, kept_rows: None, predicting, targets }
    }

    /// With what rollouts have left behind of the examples, where that is all that there is to compute.
    pub(super) fn recalling(examples: &[&Encoded], activations: &[Option<&'a RolloutActivations>]) -> Self {
        let mut micro_batch = Self::new(examples);
        let branches = &micro_batch.branches;
        let mut kept_rows = vec![None; branches.rows().len()];
        for (index, (example, activations)) in examples.iter().zip(activations).enumerate() {
            let Some(activations) = activations else { return micro_batch };
            for place in 0..predicting_of(example).len() {
                kept_rows[branches.row_of(index, place) as usize] = activations.row(place);
            }
        }
        micro_batch.kept_rows = kept_rows.into_iter().collect();
        micro_batch
    }

    /// Divides units into micro-batches of at most so many tokens to compute, those with the same prompt together. A unit is
    /// never split, so one that is longer is a micro-batch by itself.
    pub(super) fn plan(units: &[Vec<&Encoded>], tokens_max: usize) -> Vec<Vec<usize>> {
        let mut prompts: BTreeMap<&[u32], Vec<usize>> = BTreeMap::new();
        let mut parts: Vec<(Vec<usize>, usize)> = Vec::new();
        for (index, unit) in units.iter().enumerate() {
            match prompt_in_common(unit) {
                Some(prompt) => prompts.entry(prompt).or_default().push(index),
                None => parts.push((vec![index], unit.iter().map(|example| example.tokens.len()).sum())),
            }
        }
        for (prompt, indices) in prompts {
            let mut part = (Vec::new(), prompt.len());
            for index in indices {
                let own: usize = units[index].iter().map(|example| example.tokens.len() - prompt.len()).sum();
                if !part.0.is_empty() && part.1 + own > tokens_max {
                    parts.push(std::mem::replace(&mut part, (Vec::new(), prompt.len())));
                }
                part.0.push(index);
                part.1 += own;
            }
            parts.push(part);
        }
        // In the order of the units, not of their tokens.
        parts.sort_unstable_by_key(|(indices, _)| indices[0]);
        let lengths: Vec<usize> = parts.iter().map(|(_, length)| *length).collect();
        let rows = pack(&lengths, tokens_max);
        rows.into_iter().map(|row| row.into_iter().flat_map(|part| parts[part].0.clone()).collect()).collect()
    }
}

/// What comes before the first target in every sequence of a unit, where that is the same in all of them.
fn prompt_in_common<'a>(unit: &[&'a Encoded]) -> Option<&'a [u32]> {
    let mut prompts = unit.iter().map(|example| prompt_of(example));
    let first = prompts.next()?;
    prompts.all(|prompt| prompt == first).then_some(first)
}

/// Cuts a value per target into the values of each example.
pub(super) fn split<'a, T>(values: &'a [T], examples: &'a [&Encoded]) -> impl Iterator<Item = &'a [T]> {
    examples.iter().scan(values, |rest, example| {
        let (own, others) = rest.split_at(targets_of(example).count());
        *rest = others;
        Some(own)
    })
}

/// All of an example that is looked at to predict its targets.
fn predicting_of(example: &Encoded) -> &[u32] {
    &example.tokens[..targets_of(example).last().unwrap_or(0)]
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
        assert_eq!(micro_batch.predicting, [0, 2]);
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
        // Nothing is predicted from the last of each.
        assert_eq!(shared.branches.rows().len(), 2 * 10 + 22 - 5);
        let alone: Vec<Vec<&Encoded>> = examples.iter().map(|example| vec![*example]).collect();
        assert_eq!(MicroBatch::plan(&alone, 21), [vec![0, 2], vec![1, 4], vec![3]]);
        assert_eq!(MicroBatch::plan(&alone, 100), [vec![0, 2, 3, 1, 4]]);
        assert_eq!(MicroBatch::plan(&alone, 1), [vec![2], vec![0], vec![1], vec![3], vec![4]]);
        // Two sequences of one prompt, and two of different ones.
        let pairs = [vec![examples[0], examples[2]], vec![examples[1], examples[3]], vec![examples[4]]];
        assert_eq!(MicroBatch::plan(&pairs, 1), [vec![1], vec![0], vec![2]]);
        assert_eq!(MicroBatch::plan(&pairs, 33), [vec![1], vec![0, 2]]);
    }
}
