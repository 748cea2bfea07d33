use candle_core::{Result, bail};
use rayon::prelude::*;

use crate::{
    exp::exp_above,
    gemm::Into,
    mat::{Mat, MatMut},
    pool::in_pool,
    vectorized::vectorized,
    weight::Weight,
};

/// Rows and tokens of the vocabulary for which logits exist at one time.
const BLOCK_ROWS: usize = 1024;
const BLOCK_TOKENS: usize = 1024;

/// The log-probability of one target token per row: `log softmax(h · headᵀ / temperature)[target]`, without ever holding the
/// logits of the whole vocabulary (fused linear cross-entropy, arXiv 2411.09009). h is `[rows, hidden]`, head `[vocab, hidden]`.
///
/// # Errors
/// Where shapes do not fit together, or a target is outside of the vocabulary.
pub fn token_logprobs(h: &[f32], head: &Weight, temperature: f32, targets: &[u32]) -> Result<Vec<f32>> {
    in_pool(|| run(h, head, temperature, targets, &mut []))
}

/// As [`token_logprobs`], and the gradient of each by its row of h: `[rows, hidden]`.
///
/// The gradient of a row is (head\[target\] − Σᵥ pᵥ · head\[v\]) / temperature. That sum is an attention over the vocabulary, so it
/// is taken along with the log-sum in one pass, as FlashAttention does it: the logits are computed once, not twice.
///
/// # Errors
/// As [`token_logprobs`].
pub fn token_logprobs_and_gradients(
    h: &[f32],
    head: &Weight,
    temperature: f32,
    targets: &[u32],
) -> Result<(Vec<f32>, Vec<f32>)> {
    let mut gradients = vec![0.0; h.len()];
    let logprobs = in_pool(|| run(h, head, temperature, targets, &mut gradients))?;
    Ok((logprobs, gradients))
}

/// Fills the gradients, where there is room for them.
fn run(h: &[f32], head: &Weight, temperature: f32, targets: &[u32], gradients: &mut [f32]) -> Result<Vec<f32>> {
    let (vocab, hidden) = (head.outputs(), head.inputs());
    if h.len() != targets.len() * hidden {
        bail!("token_logprobs: {} values are not a row of {hidden} for each of {} targets", h.len(), targets.len());
    }
    if let Some(target) = targets.iter().find(|target| **target as usize >= vocab) {
        bail!("token_logprobs: target {target} is outside of the vocabulary of {vocab} tokens");
    }
    let mut logprobs = Vec::with_capacity(targets.len());
    let mut rest = gradients;
    for (targets, h) in targets.chunks(BLOCK_ROWS).zip(h.chunks(BLOCK_ROWS * hidden)) {
        let part;
        (part, rest) = rest.split_at_mut(h.len().min(rest.len()));
        logprobs.extend(block(h, head, 1.0 / temperature, targets, part));
    }
    Ok(logprobs)
}

/// The state of one row's softmax over the part of the vocabulary seen so far.
#[derive(Clone, Copy)]
struct RowState {
    max: f32,
    sum: f64,
    target_logit: f32,
}

/// Log-probabilities of some rows, of logits times `scale`.
fn block(h: &[f32], head: &Weight, scale: f32, targets: &[u32], gradients: &mut [f32]) -> Vec<f32> {
    let (rows, vocab, hidden) = (targets.len(), head.outputs(), head.inputs());
    let mut states = vec![RowState { max: f32::NEG_INFINITY, sum: 0.0, target_logit: f32::NAN }; rows];
    let mut logits = vec![0.0; rows * BLOCK_TOKENS.min(vocab)];
    for first in (0..vocab).step_by(BLOCK_TOKENS) {
        let tokens = BLOCK_TOKENS.min(vocab - first);
        let weight = head.rows(first..first + tokens);
        let logits = &mut logits[..rows * tokens];
        weight.product(MatMut::new(logits, rows, tokens), Into::Set, Mat::new(h, rows, hidden));

        let rescales: Vec<f32> = (logits.par_chunks_exact_mut(tokens), states.par_iter_mut(), targets.par_iter())
            .into_par_iter()
            .with_min_len(16)
            .map(|(logits, state, target)| {
                if scale != 1.0 {
                    logits.iter_mut().for_each(|logit| *logit *= scale);
                }
                if let Some(logit) = (*target as usize).checked_sub(first).and_then(|at| logits.get(at)) {
                    state.target_logit = *logit;
                }
                let (max, sum) = exp_above(logits, state.max);
                let rescale = if max > state.max { (state.max - max).exp() } else { 1.0 };
                state.sum = state.sum * f64::from(rescale) + f64::from(sum);
                state.max = max;
                rescale
            })
            .collect();
        if gradients.is_empty() {
            continue;
        }
        for (gradient, rescale) in gradients.chunks_exact_mut(hidden).zip(rescales) {
            if rescale != 1.0 {
                gradient.iter_mut().for_each(|value| *value *= rescale);
            }
        }
        let dst = MatMut::new(gradients, rows, hidden);
        weight.transposed_product(dst, Into::Add, Mat::new(logits, rows, tokens));
    }
    let mut target_row = vec![0.0; hidden];
    for ((gradient, state), target) in gradients.chunks_exact_mut(hidden).zip(&states).zip(targets) {
        head.row_into(*target as usize, &mut target_row);
        finish_gradient(gradient, &target_row, (1.0 / state.sum) as f32, scale);
    }
    states.iter().map(|state| (f64::from(state.target_logit) - f64::from(state.max) - state.sum.ln()) as f32).collect()
}

vectorized! {
    /// Turns Σ exp(logit) · w into scale · (w\[target\] − Σ p · w).
    fn finish_gradient(gradient: &mut [f32], target: &[f32], inverse_sum: f32, scale: f32) {
        for (gradient, target) in gradient.iter_mut().zip(target) {
            *gradient = (target - *gradient * inverse_sum) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, check_slopes, noise};

    fn targets(rows: usize, vocab: usize) -> Vec<u32> {
        (0..rows).map(|row| ((row * 7919 + vocab - 1) % vocab) as u32).collect()
    }

    /// Log-probabilities and gradients by the formula, in f64.
    fn reference(h: &[f32], w: &[f32], temperature: f64, targets: &[u32]) -> (Vec<f32>, Vec<f32>) {
        let hidden = h.len() / targets.len();
        let (mut logprobs, mut gradients) = (Vec::new(), Vec::new());
        for (h, target) in h.chunks_exact(hidden).zip(targets) {
            let logit =
                |w: &[f32]| h.iter().zip(w).map(|(h, w)| f64::from(*h) * f64::from(*w)).sum::<f64>() / temperature;
            let logits: Vec<f64> = w.chunks_exact(hidden).map(logit).collect();
            let max = logits.iter().copied().fold(f64::MIN, f64::max);
            let log_sum = max + logits.iter().map(|logit| (logit - max).exp()).sum::<f64>().ln();
            logprobs.push((logits[*target as usize] - log_sum) as f32);
            for at in 0..hidden {
                let rows = logits.iter().zip(w.chunks_exact(hidden));
                let mean: f64 = rows.map(|(logit, w)| (logit - log_sum).exp() * f64::from(w[at])).sum();
                gradients.push(((f64::from(w[*target as usize * hidden + at]) - mean) / temperature) as f32);
            }
        }
        (logprobs, gradients)
    }

    #[test]
    fn agrees_with_the_formula_over_odd_shapes() {
        let cases = [(1, 3, 2, 1.0), (5, 33, 1025, 1.0), (1030, 8, 70, 0.7), (7, 16, 3000, 1.5)];
        for (rows, hidden, vocab, temperature) in cases {
            let h: Vec<f32> = noise(rows * hidden, 1).iter().map(|h| 4.0 * h).collect();
            let (w, targets) = (noise(vocab * hidden, 2), targets(rows, vocab));
            let head = Weight::from_f32(w.clone(), vocab, hidden);
            let (expected, expected_gradients) = reference(&h, &w, f64::from(temperature), &targets);
            let (logprobs, gradients) = token_logprobs_and_gradients(&h, &head, temperature, &targets).unwrap();
            assert_close(&logprobs, &expected, 1e-6);
            assert_close(&gradients, &expected_gradients, 1e-5);
            assert_eq!(token_logprobs(&h, &head, temperature, &targets).unwrap(), logprobs);
        }
    }

    #[test]
    fn gradient() {
        let (h, head) = (noise(30, 1), Weight::from_f32(noise(55, 2), 11, 5));
        let (_, gradients) = token_logprobs_and_gradients(&h, &head, 0.8, &targets(6, 11)).unwrap();
        check_slopes(&h, &gradients, |h| (token_logprobs(h, &head, 0.8, &targets(6, 11)).unwrap(), vec![1.0; 6]));
    }

    #[test]
    fn targets_outside_of_the_vocabulary_are_refused() {
        let head = Weight::from_f32(noise(24, 2), 6, 4);
        assert!(token_logprobs(&noise(4, 1), &head, 1.0, &[6]).unwrap_err().to_string().contains("vocabulary of 6"));
        assert!(token_logprobs(&noise(4, 1), &head, 1.0, &[1, 2]).is_err());
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let head = Weight::from_f32(noise(24, 2), 6, 4);
        assert!(token_logprobs(&[f32::NAN; 8], &head, 1.0, &[1, 2]).unwrap()[0].is_nan());
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (h, head) = (noise(40 * 64, 1), Weight::from_f32(noise(3000 * 64, 2), 3000, 64));
        assert_independent_of_threads(|| {
            let (logprobs, gradients) = token_logprobs_and_gradients(&h, &head, 1.0, &targets(40, 3000)).unwrap();
            [logprobs, gradients].concat()
        });
    }
}
