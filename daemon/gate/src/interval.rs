use serde::{Deserialize, Serialize};

use crate::{Paired, bootstrap::lower_bound, normal, random::Random, tango};

/// A mean difference, candidate minus champion, and its two one-sided bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean of the differences.
    pub mean: f64,
    /// The true mean difference is above this at the policy's confidence.
    pub lower: f64,
    /// The true mean difference is below this at the policy's confidence.
    pub upper: f64,
}

impl Paired {
    /// The interval of the mean difference, each bound at this confidence; `salt` (the suite's name) keeps the resamples of
    /// suites apart. Nothing compared gives the widest interval that scores can have.
    ///
    /// Of yes/no items that stand alone it is Tango's. Of all others it is the paired percentile bootstrap (Efron 1979) with
    /// one more item in the sample, which speaks against the bound with all that an item may lose or gain ([`Paired::new`]).
    /// It does for scores what Agresti and Coull's (1998) added counts do for shares: losses too rare to have been seen are
    /// drawn as well. Items that share a prompt are drawn together. Where items have weights it bounds the difference of two
    /// corpus means: numerator and denominator both follow from what was drawn (Cochran 1977, 6.3).
    ///
    /// Which items a resample draws does not depend on their scores, so a score that rises never lowers a bound.
    pub fn interval(&self, confidence: f64, resamples: usize, seed: u64, salt: &str) -> Interval {
        if self.is_empty() {
            return Interval { mean: 0.0, lower: -self.scale().reach(), upper: self.scale().reach() };
        }
        let mean = self.mean();
        if let Some((gains, losses)) = self.counts() {
            let z = normal::quantile(confidence);
            let lower = tango::lower_bound(self.len(), gains, losses, z);
            return Interval { mean, lower, upper: -tango::lower_bound(self.len(), losses, gains, z) };
        }
        let random = Random::salted(seed, salt);
        let bound = |sign: f64| {
            let units = self.units(sign);
            lower_bound(&units, &[units.len()], self.unseen(sign), confidence, resamples, random.clone())
        };
        let (lower, upper) = (bound(1.0), -bound(-1.0));
        let reach = self.scale().reach();
        Interval { mean, lower: lower.min(mean).max(-reach), upper: upper.max(mean).min(reach) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Difference, Scale};

    fn graded(values: &[f64]) -> Paired {
        Paired::new(Scale::Graded { reach: 1.0 }, values.iter().copied().map(Difference::from).collect())
    }

    fn interval(paired: &Paired) -> Interval {
        paired.interval(0.95, 500, 1, "suite")
    }

    /// By hand: (2·10 + 0·30 − 1·60) / 100 = −0.4, where the mean over items would be +1/3.
    #[test]
    fn an_item_counts_by_its_weight() {
        let sample = [(2.0, 10.0), (0.0, 30.0), (-1.0, 60.0)].map(|(value, weight)| Difference { value, weight });
        let Interval { mean, lower, upper } = interval(&Paired::new(Scale::Nats { margin: 0.05 }, sample.to_vec()));
        assert!((mean + 0.4).abs() < 1e-12, "{mean}");
        assert!(lower < -0.4 && upper > -0.4);
    }

    #[test]
    fn weights_that_are_all_equal_change_nothing() {
        let values = [0.3, -0.1, 0.2, 0.25, -0.4, 0.1];
        let heavy: Vec<Difference> = values.iter().map(|&value| Difference { value, weight: 8.0 }).collect();
        let (heavy, light) = (interval(&Paired::new(Scale::Graded { reach: 1.0 }, heavy)), interval(&graded(&values)));
        assert!((heavy.lower - light.lower).abs() < 1e-12 && (heavy.upper - light.upper).abs() < 1e-12);
    }

    #[test]
    fn nothing_compared_rules_nothing_out() {
        let Interval { lower, upper, .. } = interval(&Paired::new(Scale::Binary, vec![]));
        assert!(lower <= -1.0 && upper >= 1.0);
        assert!(interval(&Paired::new(Scale::Nats { margin: 0.05 }, vec![])).lower <= -50.0);
    }

    #[test]
    fn ties_alone_bound_a_loss_by_their_number() {
        let lower = |n: usize| interval(&graded(&vec![0.0; n])).lower;
        assert!(lower(5) < -0.2 && lower(60) >= -0.05 && lower(1000) > -0.005);
    }

    #[test]
    fn bound_is_close_to_the_normal_one_on_many_items() {
        let differences: Vec<f64> = (0..4000).map(|n| f64::from(n % 5) * 0.1 - 0.2).collect();
        let error = 0.02_f64.sqrt() / 4000_f64.sqrt();
        let Interval { lower, upper, .. } = graded(&differences).interval(0.95, 4000, 0, "suite");
        assert!((lower / (-1.645 * error) - 1.0).abs() < 0.2, "{lower}");
        assert!((upper / (1.645 * error) - 1.0).abs() < 0.2, "{upper}");
    }

    #[test]
    fn items_that_share_a_prompt_say_less() {
        let values: Vec<f64> = (0..80).map(|at| f64::from(at / 4 % 3) * 0.5 - 0.5).collect();
        let alone = interval(&graded(&values));
        let together = interval(&graded(&values).in_clusters((0..80).map(|at| at / 4).collect()));
        assert!(together.lower < alone.lower - 0.04, "{together:?} {alone:?}");
        assert_eq!(together.mean, alone.mean);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bounds_enclose_the_mean_and_turn_with_the_sign(differences in prop::collection::vec(-1.0..1.0_f64, 1..40)) {
            let there = interval(&graded(&differences));
            prop_assert!(there.lower <= there.mean && there.mean <= there.upper);
            let negated: Vec<f64> = differences.iter().map(|difference| -difference).collect();
            let back = interval(&graded(&negated));
            prop_assert_eq!((back.lower, back.upper), (-there.upper, -there.lower));
        }

        #[test]
        fn a_score_that_rises_never_lowers_a_bound(
            differences in prop::collection::vec(-1.0..1.0_f64, 1..40), at in 0..40_usize, by in 0.0..1.0_f64,
            clustered in any::<bool>(),
        ) {
            let paired = |values: &[f64]| match clustered {
                true => graded(values).in_clusters((0..values.len()).map(|at| at / 3).collect()),
                false => graded(values),
            };
            let mut risen = differences.clone();
            let at = at % differences.len();
            risen[at] += by;
            let (before, after) = (interval(&paired(&differences)), interval(&paired(&risen)));
            prop_assert!(after.lower >= before.lower - 1e-12 && after.upper >= before.upper - 1e-12);
        }
    }
}
