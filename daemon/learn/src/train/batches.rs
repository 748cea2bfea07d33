use std::collections::{BTreeMap, BTreeSet};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::TrainConfig;

/// Which examples each optimiser step sees: a shuffle per epoch, cut into batches, the last of which may be smaller. Where examples
/// are of groups, each group is spread evenly over the epoch.
///
/// Depends on the step alone, so that a resumed run needs no state of a random number generator.
pub(super) struct Batches {
    examples: usize,
    batch_size: usize,
    seed: u64,
    steps: u64,
    epoch: u64,
    /// Of each example; empty where they are of none.
    groups: Vec<usize>,
    order: Vec<usize>,
}

impl Batches {
    pub(super) fn new(config: &TrainConfig, examples: usize, groups: Option<&[usize]>) -> Self {
        let groups = groups.unwrap_or_default().to_vec();
        let steps = (steps_per_epoch(examples, config.batch_size) as f64 * config.epochs).ceil() as u64;
        Self {
            examples,
            batch_size: config.batch_size,
            seed: config.seed,
            steps: config.steps_max.map_or(steps, |max| steps.min(max)),
            epoch: 0,
            order: dealt(examples, config.seed, 0, &groups),
            groups,
        }
    }

    /// Optimiser steps of the whole run.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// The examples of a step, from 0.
    pub(super) fn batch(&mut self, step: u64) -> &[usize] {
        let per_epoch = steps_per_epoch(self.examples, self.batch_size);
        let epoch = step / per_epoch;
        if epoch != self.epoch {
            self.order = dealt(self.examples, self.seed, epoch, &self.groups);
            self.epoch = epoch;
        }
        let first = (step % per_epoch) as usize * self.batch_size;
        &self.order[first..(first + self.batch_size).min(self.examples)]
    }

    /// The examples of the first steps.
    pub(super) fn seen(&self, steps: u64) -> BTreeSet<usize> {
        if steps >= steps_per_epoch(self.examples, self.batch_size) {
            return (0..self.examples).collect();
        }
        let order = dealt(self.examples, self.seed, 0, &self.groups);
        order.into_iter().take(steps as usize * self.batch_size).collect()
    }

    /// Whether an epoch is through after so many steps, and no more.
    pub(super) fn ends_epoch(&self, steps: u64) -> bool {
        steps.is_multiple_of(steps_per_epoch(self.examples, self.batch_size))
    }

    /// How many epochs are through after so many steps.
    pub(super) fn epochs_after(&self, steps: u64) -> f64 {
        steps as f64 / steps_per_epoch(self.examples, self.batch_size) as f64
    }
}

fn steps_per_epoch(examples: usize, batch_size: usize) -> u64 {
    examples.div_ceil(batch_size) as u64
}

/// All examples in an order of the epoch's own.
pub(super) fn shuffled(examples: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // One stream of the generator per epoch; stream 0 starts the adapter.
    rng.set_stream(epoch + 1);
    let mut order: Vec<usize> = (0..examples).collect();
    order.shuffle(&mut rng);
    order
}

/// As [`shuffled`], with the members of each group at even distances: the j-th of m stands at (j + ½) / m of the way.
fn dealt(examples: usize, seed: u64, epoch: u64, groups: &[usize]) -> Vec<usize> {
    let order = shuffled(examples, seed, epoch);
    if groups.is_empty() {
        return order;
    }
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    order.into_iter().for_each(|example| members.entry(groups[example]).or_default().push(example));
    let place = |at: usize, of: usize| (2 * at as u128 + 1) * (1 << 64) / (2 * of as u128);
    let mut placed: Vec<(u128, usize, usize)> = members
        .iter()
        .flat_map(|(group, members)| {
            members.iter().enumerate().map(move |(at, example)| (place(at, members.len()), *group, *example))
        })
        .collect();
    placed.sort_unstable();
    placed.into_iter().map(|(_, _, example)| example).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(batches: &mut Batches, steps: std::ops::Range<u64>) -> Vec<usize> {
        steps.flat_map(|step| batches.batch(step).to_vec()).collect()
    }

    #[test]
    fn an_epoch_sees_every_example_once_in_an_order_of_its_own() {
        let config = TrainConfig { batch_size: 4, epochs: 2.0, seed: 3, ..TrainConfig::default() };
        let mut batches = Batches::new(&config, 10, None);
        assert_eq!(batches.steps(), 6);
        let (first, second) = (epoch(&mut batches, 0..3), epoch(&mut batches, 3..6));
        assert_ne!(first, second);
        for mut order in [first.clone(), second] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<_>>());
        }
        assert_eq!(batches.batch(2).len(), 2);
        assert_eq!(epoch(&mut batches, 0..3), first);
        assert_eq!(batches.epochs_after(3), 1.0);
    }

    #[test]
    fn what_was_seen_is_what_the_batches_held() {
        let config = TrainConfig { batch_size: 4, epochs: 2.0, seed: 3, ..TrainConfig::default() };
        let mut batches = Batches::new(&config, 10, None);
        for steps in 0..6 {
            let dealt: BTreeSet<usize> = epoch(&mut batches, 0..steps).into_iter().collect();
            assert_eq!(batches.seen(steps), dealt, "{steps} steps");
        }
    }

    #[test]
    fn steps_max_cuts_the_run_short() {
        let config = TrainConfig { batch_size: 4, epochs: 9.0, steps_max: Some(5), ..TrainConfig::default() };
        assert_eq!(Batches::new(&config, 10, None).steps(), 5);
        let half = TrainConfig { epochs: 0.5, steps_max: None, ..config };
        assert_eq!(Batches::new(&half, 10, None).steps(), 2);
    }

    #[test]
    fn every_batch_has_its_part_of_each_group() {
        let config = TrainConfig { batch_size: 10, epochs: 2.0, seed: 3, ..TrainConfig::default() };
        let groups: Vec<usize> =
            (0..100).map(|example| usize::from(example >= 70) + usize::from(example >= 90)).collect();
        let mut batches = Batches::new(&config, 100, Some(&groups));
        let mut orders = Vec::new();
        for step in 0..20 {
            let batch = batches.batch(step).to_vec();
            let count = |group| batch.iter().filter(|example| groups[**example] == group).count();
            assert_eq!([0, 1, 2].map(count), [7, 2, 1], "step {step}");
            orders.extend(batch);
            assert_eq!(batches.seen(step + 1), orders.iter().copied().collect());
        }
        assert_ne!(orders[..100], orders[100..]);
        orders.sort_unstable();
        assert!(orders.chunks(2).enumerate().all(|(example, twice)| twice == [example; 2]));
    }
}
