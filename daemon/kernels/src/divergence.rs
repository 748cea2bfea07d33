use candle_core::{Result, bail};
use rayon::prelude::*;

use crate::{
    exp::exp_above,
    gemm::Into,
    mat::{Mat, MatMut},
    pool::in_pool,
    vectorized::{dot_inline, vectorized},
    weight::Weight,
};

/// Rows and tokens of the vocabulary for which logits exist at one time.
const BLOCK_ROWS: usize = 512;
const BLOCK_TOKENS: usize = 1024;

/// For each row the Kullback-Leibler divergence KL(q ‖ p) = Σᵥ qᵥ · (log qᵥ − log pᵥ) over the whole vocabulary, in nats, of
/// p = softmax(h · headᵀ / temperature) from q = softmax(reference · headᵀ / temperature), and its gradient by the row of h:
/// (Σᵥ pᵥ · head\[v\] − Σᵥ qᵥ · head\[v\]) / temperature. h and reference are `[rows, hidden]`, head `[vocab, hidden]`, and so the
/// gradients are `[rows, hidden]`.
///
/// Both sums are taken along with the log-sums in one pass, as in [`token_logprobs_and_gradients`](crate::token_logprobs_and_gradients):
/// no distribution is ever held as a whole.
///
/// # Errors
/// Where shapes do not fit together.
pub fn divergences_and_gradients(
    h: &[f32],
    reference: &[f32],
    head: &Weight,
    temperature: f32,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let hidden = head.inputs();
    if h.len() != reference.len() || !h.len().is_multiple_of(hidden) {
        bail!("divergences: {} and {} values are not as many rows of {hidden}", h.len(), reference.len());
    }
    let mut gradients = vec![0.0; h.len()];
    let blocks = h.chunks(BLOCK_ROWS * hidden).zip(reference.chunks(BLOCK_ROWS * hidden));
    let blocks = blocks.zip(gradients.chunks_mut(BLOCK_ROWS * hidden));
    let divergences = in_pool(|| {
        blocks.flat_map(|((h, reference), gradients)| block(h, reference, head, 1.0 / temperature, gradients)).collect()
    });
    Ok((divergences, gradients))
}

/// A softmax over the part of the vocabulary seen so far.
#[derive(Clone, Copy)]
struct Softmax {
    max: f32,
    sum: f64,
}

impl Softmax {
    const EMPTY: Self = Self { max: f32::NEG_INFINITY, sum: 0.0 };

    /// Turns logits into their exponentials above the greatest so far. What was summed up before is to be multiplied by the result.
    fn take(&mut self, logits: &mut [f32]) -> f32 {
        let (max, sum) = exp_above(logits, self.max);
        let rescale = if max > self.max { (self.max - max).exp() } else { 1.0 };
        self.sum = self.sum * f64::from(rescale) + f64::from(sum);
        self.max = max;
        rescale
    }

    fn log_sum(&self) -> f64 {
        f64::from(self.max) + self.sum.ln()
    }
}

/// What is known of one row so far.
#[derive(Clone, Copy)]
struct RowState {
    own: Softmax,
    reference: Softmax,
    /// Σ exp(logit of the reference) · (logit of the reference − own logit), above the greatest.
    gap: f64,
}

/// The divergences of some rows, of logits times `scale`.
fn block(h: &[f32], reference: &[f32], head: &Weight, scale: f32, gradients: &mut [f32]) -> Vec<f32> {
    let (vocab, hidden) = (head.outputs(), head.inputs());
    let rows = h.len() / hidden;
    let mut states = vec![RowState { own: Softmax::EMPTY, reference: Softmax::EMPTY, gap: 0.0 }; rows];
    let room = rows * BLOCK_TOKENS.min(vocab);
    let (mut own, mut of_reference, mut gaps) = (vec![0.0; room], vec![0.0; room], vec![0.0; room]);
    let mut reference_means = vec![0.0; h.len()];
    for first in (0..vocab).step_by(BLOCK_TOKENS) {
        let tokens = BLOCK_TOKENS.min(vocab - first);
        let weight = head.rows(first..first + tokens);
        let (own, of_reference) = (&mut own[..rows * tokens], &mut of_reference[..rows * tokens]);
        weight.product(MatMut::new(own, rows, tokens), Into::Set, Mat::new(h, rows, hidden));
        weight.product(MatMut::new(of_reference, rows, tokens), Into::Set, Mat::new(reference, rows, hidden));

        let gaps = gaps[..rows * tokens].par_chunks_exact_mut(tokens);
        let rescales: Vec<(f32, f32)> =
            (own.par_chunks_exact_mut(tokens), of_reference.par_chunks_exact_mut(tokens), gaps, states.par_iter_mut())
                .into_par_iter()
                .with_min_len(16)
                .map(|(own, reference, gaps, state)| {
                    scale_and_compare(own, reference, gaps, scale);
                    let rescale = state.reference.take(reference);
                    state.gap = state.gap * f64::from(rescale) + f64::from(dot(reference, gaps));
                    (state.own.take(own), rescale)
                })
                .collect();
        let sums = gradients.chunks_exact_mut(hidden).zip(reference_means.chunks_exact_mut(hidden));
        for ((own, reference), (own_rescale, reference_rescale)) in sums.zip(rescales) {
            rescaled(own, own_rescale);
            rescaled(reference, reference_rescale);
        }
        weight.transposed_product(MatMut::new(gradients, rows, hidden), Into::Add, Mat::new(own, rows, tokens));
        let means = MatMut::new(&mut reference_means, rows, hidden);
        weight.transposed_product(means, Into::Add, Mat::new(of_reference, rows, tokens));
    }
    let sums = gradients.chunks_exact_mut(hidden).zip(reference_means.chunks_exact(hidden));
    for ((gradient, reference), state) in sums.zip(&states) {
        finish_gradient(gradient, reference, (1.0 / state.own.sum) as f32, (1.0 / state.reference.sum) as f32, scale);
    }
    let divergence =
        |state: &RowState| state.gap / state.reference.sum - (state.reference.log_sum() - state.own.log_sum());
    states.iter().map(|state| divergence(state) as f32).collect()
}

fn rescaled(sums: &mut [f32], factor: f32) {
    if factor != 1.0 {
        sums.iter_mut().for_each(|sum| *sum *= factor);
    }
}

vectorized! {
    /// Multiplies logits, and says how far those of the reference are above the others.
    fn scale_and_compare(own: &mut [f32], reference: &mut [f32], gaps: &mut [f32], scale: f32) {
        for ((own, reference), gap) in own.iter_mut().zip(reference).zip(gaps) {
            *own *= scale;
            *reference *= scale;
            *gap = *reference - *own;
        }
    }
}

vectorized! {
    fn dot(one: &[f32], other: &[f32]) -> f32 {
        dot_inline(one, other)
    }
}

vectorized! {
    /// Turns Σ exp(logit) · w into scale · (Σ p · w − Σ q · w).
    fn finish_gradient(own: &mut [f32], reference: &[f32], own_inverse: f32, reference_inverse: f32, scale: f32) {
        for (own, reference) in own.iter_mut().zip(reference) {
            *own = (*own * own_inverse - reference * reference_inverse) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, check_slopes, noise};

    /// By the formula, in f64.
    fn expected(h: &[f32], reference: &[f32], w: &[f32], hidden: usize, temperature: f64) -> (Vec<f32>, Vec<f32>) {
        let logprobs = |h: &[f32]| -> Vec<f64> {
            let dot = |w: &[f32]| h.iter().zip(w).map(|(h, w)| f64::from(*h) * f64::from(*w)).sum::<f64>();
            let logits: Vec<f64> = w.chunks_exact(hidden).map(|w| dot(w) / temperature).collect();
            let log_sum = logits.iter().map(|logit| logit.exp()).sum::<f64>().ln();
            logits.into_iter().map(|logit| logit - log_sum).collect()
        };
        let (mut divergences, mut gradients) = (Vec::new(), Vec::new());
        for (h, reference) in h.chunks_exact(hidden).zip(reference.chunks_exact(hidden)) {
            let (p, q) = (logprobs(h), logprobs(reference));
            divergences.push(q.iter().zip(&p).map(|(q, p)| q.exp() * (q - p)).sum::<f64>() as f32);
            for at in 0..hidden {
                let tokens = p.iter().zip(&q).zip(w.chunks_exact(hidden));
                let mean: f64 = tokens.map(|((p, q), w)| (p.exp() - q.exp()) * f64::from(w[at])).sum();
                gradients.push((mean / temperature) as f32);
            }
        }
        (divergences, gradients)
    }

    #[test]
    fn agrees_with_the_formula_over_odd_shapes() {
        for (rows, hidden, vocab, temperature) in
            [(1, 3, 2, 1.0), (5, 33, 1025, 1.0), (515, 8, 70, 0.7), (7, 16, 3000, 1.5)]
        {
            let [h, reference] =
                [1, 3].map(|seed| noise(rows * hidden, seed).iter().map(|h| 2.0 * h).collect::<Vec<_>>());
            let w = noise(vocab * hidden, 2);
            let head = Weight::from_f32(w.clone(), vocab, hidden);
            let (divergences, gradients) = divergences_and_gradients(&h, &reference, &head, temperature).unwrap();
            let (formula, slopes) = expected(&h, &reference, &w, hidden, f64::from(temperature));
            assert_close(&divergences, &formula, 1e-5);
            assert_close(&gradients, &slopes, 1e-5);
        }
    }

    #[test]
    fn gradient() {
        let (h, reference, head) = (noise(30, 1), noise(30, 3), Weight::from_f32(noise(55, 2), 11, 5));
        let (_, gradients) = divergences_and_gradients(&h, &reference, &head, 0.8).unwrap();
        check_slopes(&h, &gradients, |h| {
            (divergences_and_gradients(h, &reference, &head, 0.8).unwrap().0, vec![1.0; 6])
        });
    }

    #[test]
    fn what_is_the_same_has_no_divergence_and_no_slope() {
        let (h, head) = (noise(12 * 40, 1), Weight::from_f32(noise(40 * 2500, 2), 2500, 40));
        let (divergences, gradients) = divergences_and_gradients(&h, &h, &head, 1.0).unwrap();
        assert!(divergences.iter().chain(&gradients).all(|value| *value == 0.0), "{divergences:?}");
    }

    #[test]
    fn other_shapes_are_refused_and_a_nan_is_not_hidden() {
        let head = Weight::from_f32(noise(24, 2), 6, 4);
        assert!(divergences_and_gradients(&noise(8, 1), &noise(4, 1), &head, 1.0).is_err());
        assert!(divergences_and_gradients(&noise(6, 1), &noise(6, 1), &head, 1.0).is_err());
        assert!(divergences_and_gradients(&[f32::NAN; 4], &noise(4, 1), &head, 1.0).unwrap().0[0].is_nan());
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (h, reference) = (noise(40 * 64, 1), noise(40 * 64, 3));
        let head = Weight::from_f32(noise(3000 * 64, 2), 3000, 64);
        assert_independent_of_threads(|| {
            let (divergences, gradients) = divergences_and_gradients(&h, &reference, &head, 1.0).unwrap();
            [divergences, gradients].concat()
        });
    }
}
