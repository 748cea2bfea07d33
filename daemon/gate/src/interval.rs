use perennial_types::Fingerprinter;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use serde::{Deserialize, Serialize};

use crate::{Policy, student};

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

/// The interval of the mean of paired differences; `salt` (the suite's name) keeps the resamples of suites apart.
///
/// The bounds are those of the paired percentile bootstrap (Efron 1979; Berg-Kirkpatrick 2012 for model comparison), made
/// safe for the suites a deployment really has, which are small and mostly ties:
/// - One more item joins before a bound is drawn, with the largest absolute difference seen, against the bound: minus
///   that for the lower, plus that for the upper. It does for paired scores what Agresti and Coull's (1998) added counts
///   do for shares, where the plain bootstrap promises 95 % and holds less, because the rare losses it has not seen
///   cannot be drawn. It also keeps a handful of items from proving anything: one to four equal gains are no proof.
/// - The bound is never tighter than Student's t gives for the same sample, since resampling `n` items understates the
///   spread by a factor of `sqrt((n - 1) / n)` and knows nothing of the error of that spread.
///
/// Where every difference is exactly 0 the interval is 0: what answers alike has not changed, as far as a suite can see.
/// No differences give an interval without bounds. Differences must be finite.
pub fn difference_interval(differences: &[f64], policy: &Policy, salt: &str) -> Interval {
    let Some(largest) = differences.iter().map(|difference| difference.abs()).reduce(f64::max) else {
        return Interval { mean: 0.0, lower: f64::MIN, upper: f64::MAX };
    };
    let mean = mean(differences);
    if largest == 0.0 {
        return Interval { mean, lower: 0.0, upper: 0.0 };
    }
    let negated: Vec<f64> = differences.iter().map(|difference| -difference).collect();
    let lower = lower_bound(differences, largest, policy, salt);
    let upper = -lower_bound(&negated, largest, policy, salt);
    Interval { mean, lower, upper }
}

fn lower_bound(differences: &[f64], largest: f64, policy: &Policy, salt: &str) -> f64 {
    let mut sample = differences.to_vec();
    sample.push(-largest);
    bootstrap_bound(&sample, policy, salt).min(student_bound(&sample, policy.confidence))
}

fn student_bound(sample: &[f64], confidence: f64) -> f64 {
    let (n, mean) = (sample.len(), mean(sample));
    let squares: f64 = sample.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1) as f64 / n as f64).sqrt();
    mean - student::quantile(confidence, n - 1) * error
}

fn bootstrap_bound(sample: &[f64], policy: &Policy, salt: &str) -> f64 {
    let seed = Fingerprinter::new().part(&policy.seed.to_le_bytes()).part(salt.as_bytes()).finish();
    let mut rng = ChaCha8Rng::from_seed(*seed.as_bytes());
    let mut means: Vec<f64> = (0..policy.resamples).map(|_| resampled_mean(sample, &mut rng)).collect();
    // The k-th smallest of B means with k = alpha * (B + 1) (Davison and Hinkley 1997, 5.2.1), rounded to the safe side.
    let rank = ((1.0 - policy.confidence) * (policy.resamples + 1) as f64).floor().max(1.0) as usize;
    let (_, bound, _) = means.select_nth_unstable_by(rank - 1, f64::total_cmp);
    *bound
}

fn resampled_mean(sample: &[f64], rng: &mut ChaCha8Rng) -> f64 {
    let n = sample.len() as u64;
    let sum: f64 = (0..sample.len())
        // Multiply and shift: uniform but for a bias below n / 2^32, and stable across versions of `rand`.
        .map(|_| sample[((u64::from(rng.next_u32()) * n) >> 32) as usize])
        .sum();
    sum / sample.len() as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
