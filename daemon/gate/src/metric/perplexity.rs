/// The worst item score, in nats per token: a model that has broken down gives infinities or NaN, which must count as
/// a loss and not as an error. A uniform guess over a vocabulary of 256,000 costs 12.5 nats.
pub(crate) const NATS_PER_TOKEN_MAX: f64 = 50.0;

/// The score of an item: its mean log-likelihood per token, so that higher is better. `None` where no token is scored.
pub(crate) fn score(nll_sum: f64, tokens: usize) -> Option<f64> {
    if tokens == 0 {
        return None;
    }
    let nats = nll_sum / tokens as f64;
    let bounded = if nats.is_nan() { NATS_PER_TOKEN_MAX } else { nats.min(NATS_PER_TOKEN_MAX) };
    Some(-bounded)
}

/// The perplexity that belongs to the mean log-likelihood of a suite's tokens: `exp(Σ nll / Σ tokens)`, as the field has
/// it (Jelinek et al. 1977). The mean is of tokens, so an item counts by its length.
pub(crate) fn perplexity(mean_score: f64) -> f64 {
    (-mean_score).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_guesses_over_eight_words_have_perplexity_eight() {
        let item = score(3.0 * 8_f64.ln(), 3).unwrap();
        assert!((perplexity(item) - 8.0).abs() < 1e-12);
    }

    #[test]
    fn a_broken_model_counts_as_the_worst() {
        for broken in [f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(score(broken, 4), Some(-NATS_PER_TOKEN_MAX));
        }
        assert_eq!(score(0.0, 0), None);
    }
}
