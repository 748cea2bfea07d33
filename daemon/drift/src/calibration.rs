//! From which score on something moved: by drawing two windows again and again from the reference alone, so that nothing did.

use crate::{Comparison, Random, Tail};

/// So many false alarms are to be expected in [`FALSE_ALARM_DAYS`], of all detectors in all domains together. What is promised is
/// less than one; the rest is for what a threshold of so few draws is uncertain by.
pub const FALSE_ALARMS: f64 = 0.2;

/// See [`FALSE_ALARMS`].
pub const FALSE_ALARM_DAYS: f64 = 100.0;

/// Pairs of windows that a threshold is made of.
const DRAWS: usize = 1000;

/// The largest of them say how the tail falls.
const TAIL_DRAWS: usize = 100;

/// By how much more than its mean excess a tail is taken to stretch. That of a chi-squared variable with one degree of freedom does
/// by a fifth, far out; and the mean of a hundred excesses is itself uncertain by a tenth.
const TAIL_STRETCH: f64 = 1.3;

impl Comparison {
    /// The score that is exceeded with this probability where both windows are drawn from the reference, the same for the same seed.
    ///
    /// A window is drawn with replacement, so that the two may be as large as those that are compared: a bootstrap of the null
    /// hypothesis (Efron and Tibshirani 1993, chapter 16). So small a probability is seen in no thousand draws: the tail beyond the
    /// largest tenth is an exponential one with their mean excess, the generalised Pareto tail with shape 0 (Knijnenburg and others,
    /// "Fewer permutations, more accurate P-values", 2009), in the score or its square as [`Tail`] says.
    pub fn threshold(&self, probability: f64, mut random: Random) -> f64 {
        let mut scores: Vec<f64> = (0..DRAWS).map(|_| self.tail.straightened(self.drawn(&mut random))).collect();
        scores.sort_unstable_by(f64::total_cmp);
        let (body, tail) = scores.split_at(DRAWS - TAIL_DRAWS);
        let begins = body.last().copied().unwrap_or_default();
        let excess = tail.iter().map(|score| score - begins).sum::<f64>() / TAIL_DRAWS as f64;
        let further = (TAIL_DRAWS as f64 / DRAWS as f64 / probability).ln().max(0.0);
        self.tail.bent(begins + TAIL_STRETCH * excess * further).max(self.floor)
    }

    fn drawn(&self, random: &mut Random) -> f64 {
        // What the reference has none of may still come: one row more of that kind says how often it might have been missed.
        let pool = self.reference as u32 + u32::from(self.has_ghost);
        let ghost = (self.reference + self.current) as u32;
        let mut draw = |count: usize| -> Vec<u32> {
            let mut one = || match random.below(pool) {
                at if at as usize == self.reference => ghost,
                at => at,
            };
            (0..count).map(|_| one()).collect()
        };
        let (reference, current) = (draw(self.reference), draw(self.current));
        (self.score)(&reference, &current)
    }
}

impl Tail {
    fn straightened(self, score: f64) -> f64 {
        match self {
            Self::Exponential => score,
            Self::Gaussian => score.max(0.0).powi(2),
        }
    }

    fn bent(self, score: f64) -> f64 {
        match self {
            Self::Exponential => score,
            Self::Gaussian => score.max(0.0).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores whose distribution is known, whatever is drawn.
    fn comparison(tail: Tail, of: fn(f64, f64) -> f64) -> Comparison {
        // Half of them 1 and half −1: their mean is 0 and their variance 1.
        let values: Vec<f64> = (0..400).map(|at| f64::from(2 * (at % 2) - 1)).collect();
        let mean =
            move |draws: &[u32]| draws.iter().map(|at| values[*at as usize % 400]).sum::<f64>() / draws.len() as f64;
        let score = move |reference: &[u32], current: &[u32]| {
            let root = (400.0_f64 / 2.0).sqrt();
            of(mean(reference) * root, mean(current) * root)
        };
        Comparison { reference: 400, current: 400, tail, floor: 0.0, has_ghost: false, score: Box::new(score) }
    }

    /// Where the distribution is known, so is the threshold: that of a normal variable, of chi-squared with one and with two degrees.
    #[test]
    fn thresholds_far_out_are_those_of_the_distribution_or_a_little_beyond() {
        let probability = 1e-6;
        let normal = comparison(Tail::Gaussian, |a, b| a - b).threshold(probability, Random::new(1));
        assert!((4.75..6.5).contains(&normal), "{normal}");
        let one = comparison(Tail::Exponential, |a, b| (a - b).powi(2)).threshold(probability, Random::new(2));
        assert!((23.9..36.0).contains(&one), "{one}");
        let two = comparison(Tail::Exponential, |a, b| 2.0 * (a * a + b * b)).threshold(probability, Random::new(3));
        assert!((27.6..45.0).contains(&two), "{two}");
    }

    #[test]
    fn a_threshold_is_the_same_for_the_same_seed_and_never_below_its_floor() {
        let mut one = comparison(Tail::Exponential, |a, b| (a - b).abs());
        let again = one.threshold(1e-4, Random::named("x"));
        assert_eq!(one.threshold(1e-4, Random::named("x")).to_bits(), again.to_bits());
        assert!(one.threshold(1e-6, Random::named("x")) > again);
        one.floor = 1e3;
        assert_eq!(one.threshold(1e-4, Random::named("x")).to_bits(), 1e3_f64.to_bits());
    }
}
