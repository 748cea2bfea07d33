use crate::train::batches::shuffled;

/// The order in which prompts are drawn: one shuffle of all of them after the other, without end. Depends on the seed alone.
pub(super) struct PromptOrder {
    prompts: usize,
    seed: u64,
    epoch: u64,
    order: Vec<usize>,
}

impl PromptOrder {
    /// Over so many prompts, at least one.
    pub(super) fn new(prompts: usize, seed: u64) -> Self {
        Self { prompts, seed, epoch: 0, order: shuffled(prompts, seed, 0) }
    }

    /// The prompts at the places `first..first + count`.
    pub(super) fn draw(&mut self, first: u64, count: usize) -> Vec<usize> {
        (first..first + count as u64).map(|place| self.at(place)).collect()
    }

    fn at(&mut self, place: u64) -> usize {
        let epoch = place / self.prompts as u64;
        if epoch != self.epoch {
            self.order = shuffled(self.prompts, self.seed, epoch);
            self.epoch = epoch;
        }
        self.order[(place % self.prompts as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prompt_comes_once_an_epoch_and_any_place_can_be_asked_for() {
        let mut order = PromptOrder::new(5, 3);
        let all = order.draw(0, 15);
        for epoch in all.chunks(5) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3, 4]);
        }
        assert_ne!(all[..5], all[5..10]);
        assert_eq!(PromptOrder::new(5, 3).draw(7, 4), all[7..11]);
        assert_eq!(order.draw(2, 3), all[2..5]);
    }
}
