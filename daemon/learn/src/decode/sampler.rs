use candle_core::{Result, bail};
use perennial_kernels::Softmax;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::GenerateOptions;

/// Draws the tokens of one sequence. Its draws depend on its own seed and logits alone.
pub(super) struct Sampler {
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    rng: ChaCha8Rng,
}

/// A token that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Draw {
    pub(super) token: u32,
    /// The logarithm of its probability at this temperature, before anything is cut off.
    pub(super) logprob: f32,
}

/// A token and its weight in the softmax.
type Candidate = (u32, f32);

impl Sampler {
    /// Generations of one prompt, and prompts, draw from streams of their own.
    pub(super) fn new(options: &GenerateOptions, prompt: usize, generation: usize) -> Self {
        let &GenerateOptions { temperature, top_k, top_p, min_p, seed, .. } = options;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(((generation as u64) << 32) | prompt as u64);
        Self { temperature, top_k, top_p, min_p, rng }
    }

    /// The next token; the logits are used up. Filters apply in transformers' order: temperature, top-k, top-p, min-p.
    ///
    /// # Errors
    /// Where the logits are not numbers, as those of a broken adapter are.
    pub(super) fn sample(&mut self, logits: &mut [f32]) -> Result<Draw> {
        if self.temperature == 0.0 {
            // The limit of ever lower temperatures: all probability is with one token.
            let Some(token) = likeliest(logits) else { return not_numbers() };
            return Ok(Draw { token, logprob: 0.0 });
        }
        let Some(softmax) = Softmax::in_place(logits, self.temperature) else { return not_numbers() };
        let share = self.rng.random::<f64>();
        let token = if self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0 {
            softmax.token_at(share) as u32
        } else {
            draw(&self.candidates(&softmax), share)
        };
        Ok(Draw { token, logprob: softmax.logprob(token as usize) })
    }

    /// The tokens that the filters leave, in the order of their ids.
    fn candidates(&self, softmax: &Softmax<'_>) -> Vec<Candidate> {
        let all = (0..).zip(softmax.weights().iter().copied());
        let mut candidates: Vec<Candidate> = all.filter(|(_, weight)| *weight > 0.0).collect();
        if self.top_k > 0 && self.top_k < candidates.len() {
            candidates.select_nth_unstable_by(self.top_k - 1, by_likelihood);
            candidates.truncate(self.top_k);
        }
        if self.top_p < 1.0 {
            keep_nucleus(&mut candidates, f64::from(self.top_p));
        }
        // The likeliest token has the weight 1, and no filter drops it.
        candidates.retain(|(_, weight)| *weight >= self.min_p);
        // In the order of ids, so that a draw does not depend on how selection happened to order equals.
        candidates.sort_unstable_by_key(|(token, _)| *token);
        candidates
    }
}

fn not_numbers<T>() -> Result<T> {
    bail!("the model's logits are not numbers")
}

/// The first of the tokens with the greatest logit.
fn likeliest(logits: &[f32]) -> Option<u32> {
    let mut best: Option<Candidate> = None;
    for (token, &logit) in (0..).zip(logits) {
        if logit.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, best)| logit > best) {
            best = Some((token, logit));
        }
    }
    best.filter(|(_, logit)| logit.is_finite()).map(|(token, _)| token)
}

/// Keeps the smallest set of the likeliest candidates whose share of all reaches `top_p`.
fn keep_nucleus(candidates: &mut Vec<Candidate>, top_p: f64) {
    let sum = sum_of(candidates);
    // Those below (1 − top_p) / n make up less than 1 − top_p even all together, so none of them is in the nucleus:
    // dropping them first leaves a handful to sort instead of the vocabulary.
    let floor = (sum * (1.0 - top_p) / candidates.len() as f64) as f32;
    candidates.retain(|(_, weight)| *weight >= floor);
    candidates.sort_unstable_by(by_likelihood);
    let mut kept = 0.0;
    let short = |(_, weight): &Candidate| {
        let short = kept < sum * top_p;
        kept += f64::from(*weight);
        short
    };
    let count = candidates.iter().copied().take_while(short).count();
    candidates.truncate(count.max(1));
}

fn draw(candidates: &[Candidate], share: f64) -> u32 {
    let mut left = share * sum_of(candidates);
    for &(token, weight) in candidates {
        left -= f64::from(weight);
        if left < 0.0 {
            return token;
        }
    }
    candidates.last().map(|(token, _)| *token).unwrap_or_default()
}

fn sum_of(candidates: &[Candidate]) -> f64 {
    candidates.iter().map(|(_, weight)| f64::from(*weight)).sum()
}

fn by_likelihood(one: &Candidate, other: &Candidate) -> std::cmp::Ordering {
    other.1.total_cmp(&one.1).then(one.0.cmp(&other.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn draws(options: &GenerateOptions, logits: &[f32], count: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(options, 0, 0);
        (0..count).map(|_| sampler.sample(&mut logits.to_vec()).unwrap().token).collect()
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
        assert!(among(&GenerateOptions { min_p: 0.4, ..hot() }, &[1, 3]));
        assert!(among(&GenerateOptions { min_p: 1.0, ..hot() }, &[1]));
        assert!(among(&GenerateOptions { min_p: 0.25, top_k: 3, ..hot() }, &[1, 2, 3]));
    }

    #[test]
    fn sequences_draw_apart_and_seeds_repeat() {
        let logits = vec![0.0; 1000];
        let drawn = |seed, prompt, generation| {
            let mut sampler = Sampler::new(&GenerateOptions { seed, ..hot() }, prompt, generation);
            (0..8).map(|_| sampler.sample(&mut logits.clone()).unwrap().token).collect::<Vec<_>>()
        };
        let all = [drawn(1, 0, 0), drawn(1, 1, 0), drawn(1, 0, 1), drawn(2, 0, 0)];
        assert_eq!(all[0], drawn(1, 0, 0));
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error() {
        for options in [hot(), GenerateOptions::default()] {
            let mut sampler = Sampler::new(&options, 0, 0);
            assert!(sampler.sample(&mut [0.0, f32::NAN]).is_err());
            assert!(sampler.sample(&mut []).is_err());
        }
    }

    #[test]
    fn a_draw_comes_with_its_logprob_in_the_whole_softmax_whatever_is_cut_off() {
        let logits = [0.1_f32.ln(), 0.5_f32.ln(), 0.15_f32.ln(), 0.25_f32.ln()];
        for options in [hot(), GenerateOptions { top_k: 1, ..hot() }, GenerateOptions { top_p: 0.6, ..hot() }] {
            let draw = Sampler::new(&options, 0, 0).sample(&mut logits.to_vec()).unwrap();
            assert!((draw.logprob - logits[draw.token as usize]).abs() < 1e-6, "{draw:?}");
        }
    }
}
