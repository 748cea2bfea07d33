//! As few answers as it takes: a test that may be looked at after every batch (Waudby-Smith and Ramdas 2024, betting).

use serde::{Deserialize, Serialize};

use crate::{Metric, Policy, Suite};

/// What is known after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// Neither: ask on.
    Continue,
    /// A loss beyond the margin is ruled out.
    Safe,
    /// Harm is shown.
    Harm,
}

/// Shares of the wealth that are bet on each item; a uniform mixture of them needs no luck in choosing one.
const BETS: [f64; 8] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9];

/// The wealth of two gamblers: one bets that the loss is within the margin, one that there is harm. Where neither is right their
/// wealth is a martingale or falls, so that it ever reaches `1 / level` has at most the chance `level` (Ville 1939), however
/// often one looks. Differences come in the order of asking, which must not depend on their answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequential {
    margin: f64,
    reach: f64,
    safe_at: f64,
    harm_at: f64,
    safe: [f64; BETS.len()],
    harm: [f64; BETS.len()],
    /// Items so far.
    items: usize,
    look: Look,
}

impl Sequential {
    /// For a suite whose item scores are at most `reach` apart. `tests` is the number of suites that are asked so: harm is
    /// shown at the policy's level over all of them. Half of each level is what it spends; the other half is left to the
    /// comparison of all items ([`Policy::sequential`]).
    pub fn new(margin: f64, reach: f64, tests: usize, policy: &Policy) -> Self {
        let policy = &Policy { sequential: true, ..policy.clone() };
        Self {
            margin,
            reach,
            safe_at: 1.0 / (1.0 - policy.confidence_charged()),
            harm_at: tests.max(1) as f64 / policy.harm_level(),
            safe: [1.0; BETS.len()],
            harm: [1.0; BETS.len()],
            items: 0,
            look: Look::Continue,
        }
    }

    /// Takes in the differences of a batch, candidate minus champion, and says what is known. Once something is, it stays.
    pub fn observe(&mut self, batch: &[f64]) -> Look {
        for difference in batch {
            let difference = (difference / self.reach).clamp(-1.0, 1.0);
            for (wealth, bet) in self.safe.iter_mut().zip(BETS) {
                *wealth *= 1.0 + bet * (difference + self.margin / self.reach).min(1.0);
            }
            for (wealth, bet) in self.harm.iter_mut().zip(BETS) {
                *wealth *= 1.0 - bet * difference;
            }
        }
        self.items += batch.len();
        let mean = |wealth: &[f64; BETS.len()]| wealth.iter().sum::<f64>() / BETS.len() as f64;
        if self.look == Look::Continue {
            self.look = match () {
                () if mean(&self.safe) >= self.safe_at => Look::Safe,
                () if mean(&self.harm) >= self.harm_at => Look::Harm,
                () => Look::Continue,
            };
        }
        self.look
    }

    /// The items that were taken in.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Whether a suite may be asked so: it must not be a target, since looking often makes chance gains of it, and its scores
    /// must be of items that stand alone and have a reach.
    pub fn suits(suite: &Suite) -> bool {
        let clusters = suite.clusters().into_iter().max().map_or(0, |last| last + 1);
        suite.protected && !suite.target && suite.metric != Metric::Perplexity && clusters == suite.items.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequential() -> Sequential {
        Sequential::new(0.05, 1.0, 1, &Policy::default())
    }

    #[test]
    fn ties_are_safe_in_time_and_losses_are_harm_at_once() {
        let (mut ties, mut batches) = (sequential(), 0);
        while ties.observe(&[0.0; 50]) == Look::Continue {
            batches += 1;
        }
        assert_eq!((ties.look, batches + 1, ties.items()), (Look::Safe, 4, 200));
        assert_eq!(sequential().observe(&[-1.0; 10]), Look::Harm);
        assert_eq!(sequential().observe(&[]), Look::Continue);
        assert_eq!(sequential().observe(&[1.0]), Look::Continue);
    }

    #[test]
    fn what_is_known_stays_and_the_order_of_batches_is_that_of_items() {
        let mut known = sequential();
        assert_eq!(known.observe(&[-1.0; 20]), Look::Harm);
        assert_eq!(known.observe(&[1.0; 500]), Look::Harm);
        let differences: Vec<f64> = (0..120).map(|at| f64::from(at % 7 - 3) / 3.0).collect();
        let (mut whole, mut parts) = (sequential(), sequential());
        whole.observe(&differences);
        differences.chunks(50).for_each(|batch| {
            parts.observe(batch);
        });
        assert_eq!(whole.safe, parts.safe);
    }

    /// At the margin it is called safe, and without a loss harm, no more often than its half of the levels says.
    #[test]
    fn looking_after_every_batch_keeps_the_levels() {
        let mut random = crate::random::Random(3);
        let mut run = |lost: f64, gained: f64| {
            let mut test = sequential();
            for _ in 0..40 {
                let draw = |_| {
                    let lot = random.below(10_000) as f64 / 10_000.0;
                    if lot < lost { -1.0 } else { f64::from(u8::from(lot < lost + gained)) }
                };
                if test.observe(&(0..25).map(draw).collect::<Vec<f64>>()) != Look::Continue {
                    break;
                }
            }
            test.look
        };
        let mut share = |lost, gained, look| (0..1500).filter(|_| run(lost, gained) == look).count() as f64 / 1500.0;
        assert!(share(0.10, 0.05, Look::Safe) <= 0.01);
        assert!(share(0.05, 0.0, Look::Safe) <= 0.01);
        assert!(share(0.05, 0.05, Look::Harm) <= 0.03);
        assert!(share(0.20, 0.0, Look::Harm) >= 0.99);
    }

    proptest! {
        #[test]
        fn a_score_that_rises_never_makes_harm_of_what_was_none(
            eighths in prop::collection::vec(-8..=8_i32, 1..200), at in 0..200_usize, by in 1..17_i32,
        ) {
            let rank = |eighths: &[i32]| {
                let (mut test, mut look) = (sequential(), Look::Continue);
                for batch in eighths.chunks(20) {
                    look = test.observe(&batch.iter().map(|eighths| f64::from(*eighths) / 8.0).collect::<Vec<_>>());
                }
                match look { Look::Harm => 0, Look::Continue => 1, Look::Safe => 2 }
            };
            let mut risen = eighths.clone();
            let at = at % eighths.len();
            risen[at] = (risen[at] + by).min(8);
            prop_assert!(rank(&risen) >= rank(&eighths));
        }
    }
}
