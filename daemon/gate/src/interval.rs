use perennial_types::Fingerprinter;
use serde::{Deserialize, Serialize};

use crate::{Policy, metric::perplexity::NATS_PER_TOKEN_MAX, student};

/// A mean difference, candidate minus champion, and its two one-sided bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The mean of the differences.
    pub mean: f64,
    /// The true mean difference is above this at the policy's confidence.
    pub lower: f64,
    /// The true mean difference is below this at the policy's confidence.
    pub upper: f64,
}

/// The difference of the two sides on one item, and how much the item counts in the mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Candidate minus champion.
    pub value: f64,
    /// The item's tokens where the mean is of tokens, else 1. Above 0.
    pub weight: f64,
}

impl From<f64> for Difference {
    fn from(value: f64) -> Self {
        Self { value, weight: 1.0 }
    }
}

/// The interval of the mean of paired differences; `salt` (the suite's name) keeps the resamples of suites apart.
///
/// The mean is weighted: `Σ w d / Σ w`. With an item's tokens as its weight and nats per token as its difference, that is
/// the difference of two corpus log-likelihoods per token. Items are the clusters: a resample draws whole items, and
/// numerator and denominator both follow from what was drawn (Cochran 1977, 6.3, for the ratio of two means).
///
/// The bounds are those of the paired percentile bootstrap (Efron 1979; Berg-Kirkpatrick 2012 for model comparison), made
/// safe for the suites a deployment really has, which are small and mostly ties:
/// - One more item joins before a bound is drawn, with the largest absolute difference seen, against the bound: minus
///   that for the lower, plus that for the upper. It does for paired scores what Agresti and Coull's (1998) added counts
///   do for shares, where the plain bootstrap promises 95 % and holds less, because the rare losses it has not seen
///   cannot be drawn. It also keeps a handful of items from proving anything: one to four equal gains are no proof. It
///   counts as much as an item does on average.
/// - The bound is never tighter than Student's t gives for the same sample, since resampling `n` items understates the
///   spread by a factor of `sqrt((n - 1) / n)` and knows nothing of the error of that spread. The degrees of freedom are
///   those of as many items of equal weight as the weights are worth, `(Σ w)² / Σ w²` (Kish 1965).
///
/// Where every difference is exactly 0 the interval is 0: what answers alike has not changed, as far as a suite can see.
/// No differences give the widest interval that scores can have. Differences must be finite.
pub fn difference_interval(differences: &[Difference], policy: &Policy, salt: &str) -> Interval {
    let Some(largest) = differences.iter().map(|difference| difference.value.abs()).reduce(f64::max) else {
        return Interval { mean: 0.0, lower: -NATS_PER_TOKEN_MAX, upper: NATS_PER_TOKEN_MAX };
    };
    let mean = mean(differences);
    if largest == 0.0 {
        return Interval { mean, lower: 0.0, upper: 0.0 };
    }
    let negated: Vec<Difference> =
        differences.iter().map(|difference| Difference { value: -difference.value, ..*difference }).collect();
    let lower = lower_bound(differences, largest, policy, salt);
    let upper = -lower_bound(&negated, largest, policy, salt);
    Interval { mean, lower, upper }
}

fn lower_bound(differences: &[Difference], largest: f64, policy: &Policy, salt: &str) -> f64 {
    let sample = with_one_more(differences, largest);
    bootstrap_bound(&sample, policy, salt).min(student_bound(&sample, policy.confidence))
}

/// The sample with the item that speaks against it.
pub(crate) fn with_one_more(differences: &[Difference], largest: f64) -> Vec<Difference> {
    let weight = differences.iter().map(|difference| difference.weight).sum::<f64>() / differences.len() as f64;
    let mut sample = differences.to_vec();
    sample.push(Difference { value: -largest, weight });
    sample
}

/// The standard error is that of a ratio, linearised: of `w (d − mean) / mean(w)`.
pub(crate) fn student_bound(sample: &[Difference], confidence: f64) -> f64 {
    let (n, mean) = (sample.len() as f64, mean(sample));
    let weights: f64 = sample.iter().map(|difference| difference.weight).sum();
    let squared_weights: f64 = sample.iter().map(|difference| difference.weight.powi(2)).sum();
    let residual = |difference: &Difference| difference.weight * (difference.value - mean) * (n / weights);
    let squares: f64 = sample.iter().map(|difference| residual(difference).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    // Equal weights give n itself, but for rounding.
    let worth = (weights * weights / squared_weights + 1e-9).floor();
    mean - student::quantile(confidence, (worth as usize).saturating_sub(1).max(1)) * error
}

fn bootstrap_bound(sample: &[Difference], policy: &Policy, salt: &str) -> f64 {
    let seed = Fingerprinter::new().part(&policy.seed.to_le_bytes()).part(salt.as_bytes()).finish();
    let mut state = first_word(seed.as_bytes());
    let mut means: Vec<f64> = (0..policy.resamples).map(|_| resampled_mean(sample, &mut state)).collect();
    // The k-th smallest of B means with k = alpha * (B + 1) (Davison and Hinkley 1997, 5.2.1), rounded to the safe side.
    let rank = ((1.0 - policy.confidence) * (policy.resamples + 1) as f64).floor().max(1.0) as usize;
    let (_, bound, _) = means.select_nth_unstable_by(rank - 1, f64::total_cmp);
    *bound
}

fn resampled_mean(sample: &[Difference], state: &mut u64) -> f64 {
    let n = sample.len() as u64;
    let (mut sum, mut weights) = (0.0, 0.0);
    for _ in 0..sample.len() {
        // Multiply and shift: uniform but for a bias below n / 2^32.
        let Difference { value, weight } = sample[(((next_random(state) >> 32) * n) >> 32) as usize];
        sum += weight * value;
        weights += weight;
    }
    sum / weights
}

/// SplitMix64 (Steele, Lea and Flood 2014): a report must be reproducible bit by bit, so the generator is fixed here and
/// not left to a library's next version.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn first_word(bytes: &[u8; 32]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

fn mean(sample: &[Difference]) -> f64 {
    let sum: f64 = sample.iter().map(|difference| difference.weight * difference.value).sum();
    sum / sample.iter().map(|difference| difference.weight).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn even(differences: &[f64]) -> Vec<Difference> {
        differences.iter().copied().map(Difference::from).collect()
    }

    fn interval(differences: &[f64]) -> Interval {
        difference_interval(&even(differences), &Policy { resamples: 500, ..Policy::default() }, "suite")
    }

    /// By hand: (2·10 + 0·30 − 1·60) / 100 = −0.4, where the mean over items would be +1/3.
    #[test]
    fn an_item_counts_by_its_weight() {
        let sample = [(2.0, 10.0), (0.0, 30.0), (-1.0, 60.0)].map(|(value, weight)| Difference { value, weight });
        let Interval { mean, lower, upper } = difference_interval(&sample, &Policy::default(), "suite");
        assert!((mean + 0.4).abs() < 1e-12, "{mean}");
        assert!(lower < -0.4 && upper > -0.4);
    }

    #[test]
    fn students_bound_is_that_of_a_ratio() {
        let sample = [(1.0, 1.0), (0.0, 3.0), (-1.0, 2.0)].map(|(value, weight)| Difference { value, weight });
        // Mean −1/6; residuals w (d − m) · n / Σw: 7/12, 1/4, −5/6; their squares sum to 1.0972…; the error is its half,
        // over 3, under the root; Σw²/(Σw)² leaves floor(36/14) − 1 = 1 degree of freedom, whose 95 % quantile is 6.3138.
        let squares: f64 = (7.0_f64 / 12.0).powi(2) + 0.25_f64.powi(2) + (5.0_f64 / 6.0).powi(2);
        let expected = -1.0 / 6.0 - 6.313_751_5 * (squares / 2.0 / 3.0).sqrt();
        assert!((student_bound(&sample, 0.95) - expected).abs() < 1e-5);
    }

    #[test]
    fn weights_that_are_all_equal_change_nothing() {
        let values = [0.3, -0.1, 0.2, 0.25, -0.4, 0.1];
        let heavy: Vec<Difference> = values.iter().map(|&value| Difference { value, weight: 8.0 }).collect();
        let policy = Policy { resamples: 500, ..Policy::default() };
        let (heavy, light) = (difference_interval(&heavy, &policy, "suite"), interval(&values));
        assert!((heavy.lower - light.lower).abs() < 1e-12 && (heavy.upper - light.upper).abs() < 1e-12);
    }

    #[test]
    fn equal_answers_have_not_changed() {
        assert_eq!(interval(&[0.0; 3]), Interval { mean: 0.0, lower: 0.0, upper: 0.0 });
    }

    #[test]
    fn nothing_compared_rules_nothing_out() {
        let Interval { lower, upper, .. } = interval(&[]);
        assert!(lower <= -50.0 && upper >= 50.0);
    }

    #[test]
    fn a_handful_of_equal_gains_proves_nothing_and_ten_do() {
        for n in 1..5 {
            assert!(interval(&vec![1.0; n]).lower <= 0.0, "{n} items");
        }
        assert!(interval(&[1.0; 10]).lower > 0.0);
    }

    #[test]
    fn bound_is_close_to_the_normal_one_on_many_items() {
        let differences: Vec<f64> = (0..4000).map(|n| f64::from(n % 5) * 0.1 - 0.2).collect();
        let error = 0.02_f64.sqrt() / 4000_f64.sqrt();
        let Interval { lower, upper, .. } =
            difference_interval(&even(&differences), &Policy { resamples: 4000, ..Policy::default() }, "suite");
        assert!((lower / (-1.645 * error) - 1.0).abs() < 0.1, "{lower}");
        assert!((upper / (1.645 * error) - 1.0).abs() < 0.1, "{upper}");
    }

    #[test]
    fn generator_is_the_published_one() {
        let mut state = 1_234_567;
        let drawn: Vec<u64> = (0..3).map(|_| next_random(&mut state)).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn same_seed_same_bounds_and_another_seed_or_suite_others() {
        let differences = [0.3, -0.1, 0.2, 0.25, -0.4, 0.1, 0.15, 0.9, 0.35, -0.2];
        let bound = |seed, salt| {
            let policy = Policy { resamples: 501, seed, ..Policy::default() };
            bootstrap_bound(&even(&differences), &policy, salt)
        };
        assert_eq!(bound(1, "a"), bound(1, "a"));
        assert_ne!(bound(1, "a"), bound(2, "a"));
        assert_ne!(bound(1, "a"), bound(1, "b"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bounds_enclose_the_mean_and_turn_with_the_sign(differences in prop::collection::vec(-1.0..1.0_f64, 1..40)) {
            let there = interval(&differences);
            prop_assert!(there.lower <= there.mean && there.mean <= there.upper);
            let negated: Vec<f64> = differences.iter().map(|difference| -difference).collect();
            let back = interval(&negated);
            prop_assert_eq!((back.lower, back.upper), (-there.upper, -there.lower));
        }
    }
}
