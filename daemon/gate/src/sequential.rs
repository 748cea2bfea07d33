//! As few answers as it takes: a test that may be looked at after every batch (Waudby-Smith and Ramdas 2024, betting).

use crate::Policy;

/// What is known after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Neither: ask on.
    Continue,
    /// A loss beyond the margin is ruled out.
    Safe,
    /// Harm is shown.
    Harm,
}

/// With fewer differences nothing is called safe. So many items are what a suite brings to a pool, however far it is asked: a pool
/// of the suites that were asked on would be one of the unlucky.
pub const POOLED_ITEMS: usize = 200;

/// Shares of the wealth that are bet on each item; a uniform mixture of them needs no luck in choosing one.
pub(crate) const BETS: [f64; 8] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9];

/// The wealth of two gamblers: one bets that the loss is within the margin, one that there is harm. Where neither is right their
/// wealth is a martingale or falls, so that it ever reaches `1 / level` has at most the chance `level` (Ville 1939), however
/// often one looks. Differences come in the order of asking, which must not depend on their answers. Asking ends where
/// something is known: a later look says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequential {
    reach: f64,
    safe_at: f64,
    harm_at: f64,
    margin: f64,
    differences: Vec<f64>,
    safe: [f64; BETS.len()],
    harm: [f64; BETS.len()],
}

impl Sequential {
    /// For a suite whose item scores are at most `reach` apart. `tests` is the number of suites that are asked so: harm is
    /// shown at its level over all of them. What the two levels leave is for the comparison of all items
    /// ([`Policy::sequential`]).
    pub fn new(reach: f64, tests: usize, policy: &Policy) -> Self {
        Self {
            reach,
            safe_at: 1.0 / policy.safe_level(),
            harm_at: tests.max(1) as f64 / policy.early_harm_level(),
            margin: 0.0,
            differences: Vec::new(),
            safe: [1.0; BETS.len()],
            harm: [1.0; BETS.len()],
        }
    }

    /// Takes in the differences of a batch, candidate minus champion, and says what is known beside this margin. A margin that
    /// goes by the champion's score is the one of its answers so far.
    pub fn observe(&mut self, batch: &[f64], margin: f64) -> Look {
        let from = self.differences.len();
        self.differences.extend(batch.iter().map(|difference| (difference / self.reach).clamp(-1.0, 1.0)));
        for difference in &self.differences[from..] {
            self.harm.iter_mut().zip(BETS).for_each(|(wealth, bet)| *wealth *= 1.0 - bet * difference);
        }
        let from = if margin == self.margin { from } else { 0 };
        if from == 0 {
            (self.margin, self.safe) = (margin, [1.0; BETS.len()]);
        }
        for difference in &self.differences[from..] {
            let above = above(*difference, margin / self.reach);
            self.safe.iter_mut().zip(BETS).for_each(|(wealth, bet)| *wealth *= 1.0 + bet * above);
        }
        let mean = |wealth: &[f64; BETS.len()]| wealth.iter().sum::<f64>() / BETS.len() as f64;
        match () {
            () if self.differences.len() >= POOLED_ITEMS && mean(&self.safe) >= self.safe_at => Look::Safe,
            () if mean(&self.harm) >= self.harm_at => Look::Harm,
            () => Look::Continue,
        }
    }
}

/// How far a difference lies above the loss that is tolerated, both as shares of the reach.
fn above(difference: f64, margin: f64) -> f64 {
    (difference + margin).min(1.0)
}

/// How many items it takes until a candidate that lost nothing is known to be safe, about: the wealth grows by the mean of its
/// logarithm, for the best of the bets (Wald 1947). `churn` is the share of yes/no items that is answered otherwise, as often
/// for the better as for the worse. `None` where no number would do.
pub fn items_until_safe(margin: f64, churn: f64, policy: &Policy) -> Option<usize> {
    let growth = |bet: f64| {
        let of = |difference| (bet * above(difference, margin)).ln_1p();
        (1.0 - churn) * of(0.0) + 0.5 * churn * (of(1.0) + of(-1.0))
    };
    let best = BETS.into_iter().map(growth).fold(0.0, f64::max);
    let goal = (BETS.len() as f64 / policy.safe_level()).ln();
    (best > 0.0).then(|| ((goal / best).ceil() as usize).max(POOLED_ITEMS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MARGIN: f64 = 0.05;

    fn sequential() -> Sequential {
        Sequential::new(1.0, 1, &Policy::default())
    }

    #[test]
    fn ties_are_safe_in_time_and_losses_are_harm_at_once() {
        let (mut ties, mut batches) = (sequential(), 1);
        while ties.observe(&[0.0; 50], MARGIN) == Look::Continue {
            batches += 1;
        }
        assert_eq!(batches, 4);
        assert_eq!(sequential().observe(&[-1.0; 15], MARGIN), Look::Harm);
        assert_eq!(sequential().observe(&[], MARGIN), Look::Continue);
        assert_eq!(sequential().observe(&[1.0], MARGIN), Look::Continue);
    }

    #[test]
    fn gains_are_safe_once_a_pool_has_its_items() {
        let mut gains = sequential();
        assert_eq!(gains.observe(&[1.0; POOLED_ITEMS - 1], MARGIN), Look::Continue);
        assert_eq!(gains.observe(&[1.0], MARGIN), Look::Safe);
    }

    #[test]
    fn the_order_of_batches_is_that_of_items_and_the_last_margin_holds_for_all() {
        let differences: Vec<f64> = (0..120).map(|at| f64::from(at % 7 - 3) / 3.0).collect();
        let (mut whole, mut parts) = (sequential(), sequential());
        whole.observe(&differences, 0.02);
        for (batch, margin) in differences.chunks(50).zip([0.05, 0.01, 0.02]) {
            parts.observe(batch, margin);
        }
        assert_eq!((whole.safe, whole.harm), (parts.safe, parts.harm));
    }

    /// At the margin it is called safe, and without a loss harm, no more often than their shares of the levels say.
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
                match test.observe(&(0..25).map(draw).collect::<Vec<f64>>(), MARGIN) {
                    Look::Continue => {}
                    look => return look,
                }
            }
            Look::Continue
        };
        let mut share = |lost, gained, look| (0..1500).filter(|_| run(lost, gained) == look).count() as f64 / 1500.0;
        assert!(share(0.10, 0.05, Look::Safe) <= 0.008);
        assert!(share(0.05, 0.0, Look::Safe) <= 0.008);
        assert!(share(0.05, 0.05, Look::Harm) <= 0.02);
        assert!(share(0.20, 0.0, Look::Harm) >= 0.99);
        assert!(share(0.01, 0.01, Look::Safe) >= 0.99);
    }

    #[test]
    fn the_items_it_takes_are_foretold() {
        let until = |margin, churn| items_until_safe(margin, churn, &Policy::default()).unwrap();
        assert!((500..900).contains(&until(0.05, 0.1)), "{}", until(0.05, 0.1));
        assert!(until(0.05, 0.22) > until(0.05, 0.1) && until(0.02, 0.1) > until(0.05, 0.1));
        assert_eq!((until(0.5, 0.0), items_until_safe(0.0, 0.1, &Policy::default())), (POOLED_ITEMS, None));
    }

    proptest! {
        #[test]
        fn a_score_that_rises_never_makes_harm_of_what_was_none(
            eighths in prop::collection::vec(-8..=8_i32, 1..400), at in 0..400_usize, by in 1..17_i32,
        ) {
            let rank = |eighths: &[i32]| {
                let mut test = sequential();
                for batch in eighths.chunks(20) {
                    match test.observe(&batch.iter().map(|eighths| f64::from(*eighths) / 8.0).collect::<Vec<_>>(), MARGIN) {
                        Look::Continue => {}
                        Look::Harm => return 0,
                        Look::Safe => return 2,
                    }
                }
                1
            };
            let mut risen = eighths.clone();
            let at = at % eighths.len();
            risen[at] = (risen[at] + by).min(8);
            prop_assert!(rank(&risen) >= rank(&eighths));
        }
    }
}
