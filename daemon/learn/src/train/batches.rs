use std::collections::BTreeSet;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::TrainConfig;

/// Which examples each optimiser step sees: a shuffle per epoch, cut into batches, the last of which may be smaller.
///
/// Depends on the step alone, so that a resumed run needs no state of a random number generator.
pub(super) struct Batches {
    examples: usize,
    batch_size: usize,
    seed: u64,
    steps: u64,
    epoch: u64,
    order: Vec<usize>,
}

impl Batches {
    pub(super) fn new(config: &TrainConfig, examples: usize) -> Self {
        let steps = (steps_per_epoch(examples, config.batch_size) as f64 * config.epochs).ceil() as u64;
        Self {
            examples,
            batch_size: config.batch_size,
            seed: config.seed,
            steps: config.steps_max.map_or(steps, |max| steps.min(max)),
            epoch: 0,
            order: shuffled(examples, config.seed, 0),
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
            self.order = shuffled(self.examples, self.seed, epoch);
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
        shuffled(self.examples, self.seed, 0).into_iter().take(steps as usize * self.batch_size).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(batches: &mut Batches, steps: std::ops::Range<u64>) -> Vec<usize> {
        steps.flat_map(|step| batches.batch(step).to_vec()).collect()
    }

    #[test]
    fn an_epoch_sees_every_example_once_in_an_order_of_its_own() {
        let config = TrainConfig { batch_size: 4, epochs: 2.0, seed: 3, ..TrainConfig::default() };
        let mut batches = Batches::new(&config, 10);
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
        let mut batches = Batches::new(&config, 10);
        for steps in 0..6 {
            let dealt: BTreeSet<usize> = epoch(&mut batches, 0..steps).into_iter().collect();
            assert_eq!(batches.seen(steps), dealt, "{steps} steps");
        }
    }

    #[test]
    fn steps_max_cuts_the_run_short() {
        let config = TrainConfig { batch_size: 4, epochs: 9.0, steps_max: Some(5), ..TrainConfig::default() };
        assert_eq!(Batches::new(&config, 10).steps(), 5);
        let half = TrainConfig { epochs: 0.5, steps_max: None, ..config };
        assert_eq!(Batches::new(&half, 10).steps(), 2);
    }
}
