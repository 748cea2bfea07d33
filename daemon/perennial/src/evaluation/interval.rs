//! How sure a single score is.

use perennial_gate::{Difference, Metric, Paired, Policy, Scale, Suite, SuiteScores};

use super::Score;

/// The normal quantile of [`CONFIDENCE`](super::CONFIDENCE).
const Z: f64 = 1.959_963_985;

/// The mean score of one side. Shares of right answers have Wilson's interval (1927), other means the gate's bootstrap.
pub(super) fn of_scores(suite: &Suite, adapter: &str, scores: &SuiteScores, policy: &Policy) -> Score {
    let values: Vec<Difference> = scores
        .items
        .iter()
        .filter_map(|item| {
            let value = item.score?;
            Some(Difference { value, weight: item.tokens.map_or(1.0, |tokens| tokens as f64) })
        })
        .collect();
    let n = values.len();
    let scale = Scale::of(suite.metric, suite.reward.as_ref(), suite.margin);
    let (mean, lower, upper) = match scale {
        Scale::Binary => wilson(values.iter().filter(|value| value.value > 0.5).count(), n),
        _ => {
            let interval =
                Paired::new(scale, values).interval(policy.confidence, policy.resamples, policy.seed, &suite.name);
            (interval.mean, interval.lower, interval.upper)
        }
    };
    let shown = |score: f64| suite.metric.shown(score);
    // A perplexity falls as the score rises.
    let (lower, upper) = if suite.metric == Metric::Perplexity { (upper, lower) } else { (lower, upper) };
    Score { adapter: adapter.to_owned(), n, score: shown(mean), lower: shown(lower), upper: shown(upper) }
}

/// The share of `right` among `n`, with its interval.
fn wilson(right: usize, n: usize) -> (f64, f64, f64) {
    if n == 0 {
        return (0.0, 0.0, 1.0);
    }
    let (n, share) = (n as f64, right as f64 / n as f64);
    let shrink = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / shrink;
    let half = Z / shrink * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    (share, (middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    #[test]
    fn shares_have_wilsons_interval() {
        for ((right, n), (lower, upper)) in [
            ((81, 263), (0.2553, 0.3662)),
            ((15, 148), (0.0624, 0.1605)),
            ((0, 20), (0.0, 0.1611)),
            ((1, 29), (0.0061, 0.1718)),
        ] {
            let (share, low, high) = wilson(right, n);
            assert!((low - lower).abs() < 5e-5 && (high - upper).abs() < 5e-5, "{right} of {n}: {low} {high}");
            assert!((share - right as f64 / n as f64).abs() < 1e-12);
        }
        assert_eq!(wilson(0, 0), (0.0, 0.0, 1.0));
    }
}
