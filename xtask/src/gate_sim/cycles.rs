//! Fifty cycles in a row: what many small losses come to, and whether what is harmless goes on being promoted.

use perennial_gate::{Paired, decide};

use super::world::{SCORE, policy, report, yes_no};
use crate::random::Random;

/// Held-out items to draw from.
const POOL: usize = 3000;
/// Those of them that decide beside the champion in a cycle …
const CHAMPION_ITEMS: usize = 600;
/// … and those that decide beside the anchor.
const ANCHOR_ITEMS: usize = 2400;
/// The cycles.
pub(super) const CYCLES: usize = 50;

/// A run of cycles.
#[derive(Clone, Copy)]
pub(super) struct Run {
    /// What each candidate truly loses against its champion, as a share of 1.
    pub(super) loss: f64,
    /// The share of items that is answered otherwise from cycle to cycle.
    pub(super) churn: f64,
    /// Whether the first champion stays pinned as the anchor.
    pub(super) has_anchor: bool,
}

/// What came of a run.
pub(super) struct Outcome {
    /// The champion's true score after each cycle.
    pub(super) scores: Vec<f64>,
    /// The cycles whose candidate was promoted.
    pub(super) promoted: usize,
}

impl Run {
    /// A share of the items is answered anew at the candidate's own score, and its loss comes on top.
    pub(super) fn play(&self, seed: u64) -> Outcome {
        let mut random = Random::new(seed);
        let mut score = SCORE;
        let mut champion: Vec<bool> = (0..POOL).map(|_| random.happens(score)).collect();
        let anchor = champion.clone();
        let mut order: Vec<usize> = (0..POOL).collect();
        let mut outcome = Outcome { scores: Vec::new(), promoted: 0 };
        for cycle in 0..CYCLES {
            let anew = self.churn / (2.0 * score * (1.0 - score));
            let mut answer = |was: &bool| {
                let right = if random.happens(anew) { random.happens(score) } else { *was };
                right && !random.happens(self.loss.max(0.0) / score)
                    || !right && random.happens((-self.loss).max(0.0) / (1.0 - score))
            };
            let candidate: Vec<bool> = champion.iter().map(&mut answer).collect();
            random.shuffle(&mut order);
            let policy = policy(seed ^ cycle as u64);
            let (own, rest) = order.split_at(CHAMPION_ITEMS);
            let own = paired(&candidate, &champion, own);
            let beside = self.has_anchor.then(|| paired(&candidate, &anchor, &rest[..ANCHOR_ITEMS]));
            if decide(&mut [report("s", own, beside, &policy)], None, &policy).1.promotes() {
                (champion, score) = (candidate, score - self.loss);
                outcome.promoted += 1;
            }
            outcome.scores.push(score);
        }
        outcome
    }
}

fn paired(candidate: &[bool], other: &[bool], items: &[usize]) -> Paired {
    yes_no(items.iter().map(|at| f64::from(i8::from(candidate[*at]) - i8::from(other[*at]))))
}
