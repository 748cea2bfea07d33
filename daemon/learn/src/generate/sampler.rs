use candle_core::{Result, bail};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::GenerateOptions;

/// Draws the tokens of one sequence. Its draws depend on its own seed and logits alone.
pub(super) struct Sampler {
    temperature: f32,
    top_p: f32,
    top_k: usize,
    rng: ChaCha8Rng,
}

/// A token and its logit, later its probability.
type Candidate = (u32, f32);

impl Sampler {
    pub(super) fn new(options: &GenerateOptions, sequence: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        rng.set_stream(sequence as u64);
        Self { temperature: options.temperature, top_p: options.top_p, top_k: options.top_k, rng }
    }

    /// The next token. Filters apply in transformers' order: temperature, top-k, top-p.
    ///
    /// # Errors
    /// Where the logits are not numbers, as those of a broken adapter are.
    pub(super) fn sample(&mut self, logits: &[f32]) -> Result<u32> {
        let Some((best, best_logit)) = most_likely(logits) else { bail!("the model's logits are not numbers") };
        if self.temperature == 0.0 {
            return Ok(best);
        }
        let mut candidates: Vec<Candidate> = (0..).zip(logits.iter().copied()).collect();
        if self.top_k > 0 && self.top_k < candidates.len() {
            candidates.select_nth_unstable_by(self.top_k - 1, by_likelihood);
            candidates.truncate(self.top_k);
        }
        let mut sum = 0.0;
        for (_, value) in &mut candidates {
            *value = ((*value - best_logit) / self.temperature).exp();
            sum += *value;
        }
        if self.top_p < 1.0 {
            sum = keep_nucleus(&mut candidates, sum, self.top_p);
        }
        // In the order of ids, so that a draw does not depend on how selection happened to order equals.
        candidates.sort_unstable_by_key(|(token, _)| *token);
        let mut left = self.rng.random::<f32>() * sum;
        for &(token, probability) in &candidates {
            left -= probability;
            if left < 0.0 {
                return Ok(token);
            }
        }
        Ok(best)
    }
}

fn most_likely(logits: &[f32]) -> Option<Candidate> {
    let mut best: Option<Candidate> = None;
    for (token, &logit) in (0..).zip(logits) {
        if logit.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, best)| logit > best) {
            best = Some((token, logit));
        }
    }
    best.filter(|(_, logit)| logit.is_finite())
}

/// Keeps the smallest set of the likeliest candidates whose share of `sum` reaches `top_p`, and gives its sum.
fn keep_nucleus(candidates: &mut Vec<Candidate>, sum: f32, top_p: f32) -> f32 {
    // Those below (1 − top_p) / n make up less than 1 − top_p even all together, so none of them is in the nucleus:
    // dropping them first leaves a handful to sort instead of the vocabulary.
    let floor = sum * (1.0 - top_p) / candidates.len() as f32;
    candidates.retain(|(_, probability)| *probability >= floor);
    candidates.sort_unstable_by(by_likelihood);
    let mut kept = 0.0;
    let mut count = 0;
    for (_, probability) in candidates.iter() {
        kept += probability;
        count += 1;
        if kept >= sum * top_p {
            break;
        }
    }
    candidates.truncate(count);
    kept
}

fn by_likelihood(one: &Candidate, other: &Candidate) -> std::cmp::Ordering {
    other.1.total_cmp(&one.1).then(one.0.cmp(&other.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(options: &GenerateOptions, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(options, 0);
        (0..count).map(|_| sampler.sample(logits).unwrap()).collect()
    }

    fn hot() -> GenerateOptions {
        GenerateOptions { temperature: 1.0, seed: 7, ..GenerateOptions::default() }
    }

    #[test]
    fn no_temperature_takes_the_first_of_the_best() {
        assert_eq!(draws(&GenerateOptions::default(), &[0.0, 3.0, 3.0, 1.0], 3), [1, 1, 1]);
    }

    #[test]
    fn frequencies_are_the_softmax() {
        let logits = [0.5_f32.ln(), 0.3_f32.ln(), 0.2_f32.ln()];
        let drawn = draws(&hot(), &logits, 20_000);
        for (token, expected) in [0.5, 0.3, 0.2].into_iter().enumerate() {
            let share = drawn.iter().filter(|&&drawn| drawn == token as u32).count() as f64 / 20_000.0;
            assert!((share - expected).abs() < 0.015, "token {token}: {share}");
        }
    }

    #[test]
    fn filters_keep_the_likeliest() {
        let logits = [0.1_f32.ln(), 0.5_f32.ln(), 0.15_f32.ln(), 0.25_f32.ln()];
        let among = |options: &GenerateOptions, allowed: &[u32]| {
            let drawn = draws(options, &logits, 2_000);
            allowed.iter().all(|token| drawn.contains(token)) && drawn.iter().all(|token| allowed.contains(token))
        };
        assert!(among(&hot(), &[0, 1, 2, 3]));
        assert!(among(&GenerateOptions { top_k: 2, ..hot() }, &[1, 3]));
        assert!(among(&GenerateOptions { top_p: 0.5, ..hot() }, &[1]));
        assert!(among(&GenerateOptions { top_p: 0.8, ..hot() }, &[1, 2, 3]));
        assert!(among(&GenerateOptions { top_p: 0.6, top_k: 3, ..hot() }, &[1, 3]));
        assert!(among(&GenerateOptions { top_p: 0.0, ..hot() }, &[1]));
    }

    #[test]
    fn sequences_draw_apart_and_seeds_repeat() {
        let logits = vec![0.0; 1000];
        let drawn = |seed, sequence| {
            let mut sampler = Sampler::new(&GenerateOptions { seed, ..hot() }, sequence);
            (0..8).map(|_| sampler.sample(&logits).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1, 0), drawn(1, 0));
        assert_ne!(drawn(1, 0), drawn(1, 1));
        assert_ne!(drawn(1, 0), drawn(2, 0));
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error() {
        let mut sampler = Sampler::new(&hot(), 0);
        assert!(sampler.sample(&[0.0, f32::NAN]).is_err());
        assert!(sampler.sample(&[]).is_err());
    }
}
