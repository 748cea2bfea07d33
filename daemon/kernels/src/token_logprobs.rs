use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    exp::exp_above,
    gemm::{Into, Mat, Threads, gemm},
    isa::vectorized,
    operand::{Operand, dims2, matrix, values},
};

const OP: &str = "token_logprobs";

/// Rows and tokens of the vocabulary for which logits exist at one time.
const BLOCK_ROWS: usize = 1024;
const BLOCK_TOKENS: usize = 1024;

/// The log-probability of one target token per row: `log softmax(h · head_wᵀ)[target]`, without ever holding the logits
/// of the whole vocabulary (fused linear cross-entropy, arXiv 2411.09009).
///
/// h `[rows, hidden]`, head_w `[vocab, hidden]`, one target per row; the result is `[rows]`. Differentiable in h alone.
///
/// The gradient of a row is head_w\[target\] − Σᵥ pᵥ · head_w\[v\]. That sum is an attention over the vocabulary, so it is
/// taken along with the log-sum in one pass, as FlashAttention does it, where h is tracked: backward then costs nothing,
/// and the logits are computed once, not twice.
///
/// # Errors
/// Where shapes do not fit together, a target is outside of the vocabulary, or a tensor is not f32 on the CPU.
pub fn token_logprobs(h: &Tensor, head_w: &Tensor, targets: &Arc<[u32]>) -> Result<Tensor> {
    let (rows, hidden) = dims2(OP, "h", h.layout())?;
    let (vocab, head_hidden) = dims2(OP, "head_w", head_w.layout())?;
    if hidden != head_hidden {
        bail!("{OP}: h has {hidden} columns, but head_w has {head_hidden}");
    }
    if targets.len() != rows {
        bail!("{OP}: h has {rows} rows, but there are {} targets", targets.len());
    }
    if let Some(target) = targets.iter().find(|target| **target as usize >= vocab) {
        bail!("{OP}: target {target} is outside of the vocabulary of {vocab} tokens");
    }
    h.apply_op1(TokenLogprobs {
        head: head_w.detach(),
        targets: targets.clone(),
        tracked: h.track_op(),
        gradient: OnceLock::new(),
    })
}

struct TokenLogprobs {
    head: Tensor,
    targets: Arc<[u32]>,
    tracked: bool,
    /// The gradient of each row's log-probability, `[rows, hidden]`, where h is tracked.
    gradient: OnceLock<Vec<f32>>,
}

/// The state of one row's softmax over the part of the vocabulary seen so far.
#[derive(Clone, Copy)]
struct RowState {
    max: f32,
    sum: f64,
    target_logit: f32,
}

impl TokenLogprobs {
    /// Log-probabilities of some rows; fills `gradient` where h is tracked (it is empty elsewhere).
    fn block(&self, h: &[f32], head: &[f32], hidden: usize, targets: &[u32], gradient: &mut [f32]) -> Vec<f32> {
        let (rows, vocab) = (targets.len(), head.len() / hidden);
        let h = Mat::new(h, rows, hidden);
        let mut states = vec![RowState { max: f32::NEG_INFINITY, sum: 0.0, target_logit: f32::NAN }; rows];
        let mut logits = vec![0.0; rows * BLOCK_TOKENS.min(vocab)];
        for first in (0..vocab).step_by(BLOCK_TOKENS) {
            let tokens = BLOCK_TOKENS.min(vocab - first);
            let weight = Mat::new(&head[first * hidden..(first + tokens) * hidden], tokens, hidden);
            let logits = &mut logits[..rows * tokens];
            gemm(logits, Into::Set, 1.0, h, weight.t(), Threads::Pool);

            let rescales: Vec<f32> = (logits.par_chunks_exact_mut(tokens), states.par_iter_mut(), targets.par_iter())
                .into_par_iter()
                .with_min_len(16)
                .map(|(logits, state, target)| {
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
            if !self.tracked {
                continue;
            }
            for (gradient, rescale) in gradient.chunks_exact_mut(hidden).zip(rescales) {
                if rescale != 1.0 {
                    gradient.iter_mut().for_each(|value| *value *= rescale);
                }
            }
            gemm(gradient, Into::Add, 1.0, Mat::new(logits, rows, tokens), weight, Threads::Pool);
        }
        for ((gradient, state), target) in gradient.chunks_exact_mut(hidden).zip(&states).zip(targets) {
            let target = *target as usize * hidden;
            finish_gradient(gradient, &head[target..target + hidden], (1.0 / state.sum) as f32);
        }
        states
            .iter()
            .map(|state| (f64::from(state.target_logit) - f64::from(state.max) - state.sum.ln()) as f32)
            .collect()
    }
}

impl CustomOp1 for TokenLogprobs {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, hidden) = dims2(OP, "h", layout)?;
        let h = values(OP, storage, layout)?;
        let head = Operand::new(OP, &self.head);
        let head = head.values()?;
        let mut logprobs = Vec::with_capacity(rows);
        let mut gradient = vec![0.0; if self.tracked { rows * hidden } else { 0 }];
        for first in (0..rows).step_by(BLOCK_ROWS) {
            let last = (first + BLOCK_ROWS).min(rows);
            let part = if self.tracked { &mut gradient[first * hidden..last * hidden] } else { &mut [] };
            let h = &h[first * hidden..last * hidden];
            logprobs.extend(self.block(h, &head, hidden, &self.targets[first..last], part));
        }
        let _ = self.gradient.set(gradient);
        Ok((CpuStorage::F32(logprobs), rows.into()))
    }

    fn bwd(&self, h: &Tensor, _logprobs: &Tensor, d_logprobs: &Tensor) -> Result<Option<Tensor>> {
        if !self.tracked {
            return Ok(None);
        }
        let (rows, hidden) = h.dims2()?;
        let d_logprobs = Operand::new(OP, d_logprobs);
        let d_logprobs = d_logprobs.values()?;
        let Some(gradient) = self.gradient.get() else { bail!("{OP}: backward ran before forward") };
        let mut dh = gradient.clone();
        for (dh, d_logprob) in dh.chunks_exact_mut(hidden.max(1)).zip(d_logprobs.iter()) {
            dh.iter_mut().for_each(|value| *value *= d_logprob);
        }
        matrix(dh, rows, hidden).map(Some)
    }
}

vectorized! {
    /// Turns Σ exp(logit) · w into w\[target\] − Σ p · w.
    pub(crate) fn finish_gradient(gradient: &mut [f32], target: &[f32], inverse_sum: f32) {
        for (gradient, target) in gradient.iter_mut().zip(target) {
            *gradient = target - *gradient * inverse_sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, Var};

    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, awkward, check_gradients, flat, noise_matrix};

    fn targets(rows: usize, vocab: usize) -> Arc<[u32]> {
        (0..rows).map(|row| ((row * 7919 + vocab - 1) % vocab) as u32).collect()
    }

    fn reference(h: &Tensor, w: &Tensor, targets: &[u32]) -> Tensor {
        let logits = h.matmul(&w.t().unwrap()).unwrap();
        let max = logits.max_keepdim(D::Minus1).unwrap().detach();
        let shifted = logits.broadcast_sub(&max).unwrap();
        let log_sum = shifted.exp().unwrap().sum_keepdim(D::Minus1).unwrap().log().unwrap();
        let targets = Tensor::from_slice(targets, (targets.len(), 1), h.device()).unwrap();
        (shifted.gather(&targets, 1).unwrap() - log_sum).unwrap().squeeze(1).unwrap()
    }

    #[test]
    fn agrees_with_a_composition_over_odd_shapes() {
        for (rows, hidden, vocab) in [(1, 3, 2), (5, 33, 1025), (1030, 8, 70), (7, 16, 3000)] {
            let (h, w) = ((noise_matrix(rows, hidden, 1) * 4.0).unwrap(), noise_matrix(vocab, hidden, 2));
            let targets = targets(rows, vocab);
            let expected = flat(&reference(&h, &w, &targets));
            assert_close(&flat(&token_logprobs(&h, &w, &targets).unwrap()), &expected, 1e-6);
            let awkward = token_logprobs(&awkward(&h), &awkward(&w), &targets).unwrap();
            assert_close(&flat(&awkward), &expected, 1e-6);
        }
    }

    #[test]
    fn gradient() {
        let w = noise_matrix(11, 5, 2);
        check_gradients(&[noise_matrix(6, 5, 1)], |x| token_logprobs(&x[0], &w, &targets(6, 11)));
    }

    #[test]
    fn gradient_over_several_blocks_agrees_with_candle() {
        let (h, w) = (Var::from_tensor(&(noise_matrix(9, 16, 1) * 4.0).unwrap()).unwrap(), noise_matrix(3000, 16, 2));
        let targets = targets(9, 3000);
        let gradient = |logprobs: Tensor| {
            let gradients = logprobs.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            flat(gradients.get(&h).unwrap())
        };
        let got = gradient(token_logprobs(&h, &w, &targets).unwrap());
        assert_close(&got, &gradient(reference(&h, &w, &targets)), 1e-5);
    }

    #[test]
    fn targets_outside_of_the_vocabulary_are_refused() {
        let (h, w) = (noise_matrix(1, 4, 1), noise_matrix(6, 4, 2));
        assert!(token_logprobs(&h, &w, &Arc::from([6])).unwrap_err().to_string().contains("vocabulary of 6"));
        assert!(token_logprobs(&h, &w, &Arc::from([1, 2])).is_err());
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let h = (noise_matrix(2, 4, 1) * f64::NAN).unwrap();
        assert!(flat(&token_logprobs(&h, &noise_matrix(6, 4, 2), &Arc::from([1, 2])).unwrap())[0].is_nan());
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (h, w) = (Var::from_tensor(&noise_matrix(40, 64, 1)).unwrap(), noise_matrix(3000, 64, 2));
        assert_independent_of_threads(|| {
            let y = token_logprobs(&h, &w, &targets(40, 3000)).unwrap();
            let gradients = y.sum_all().unwrap().backward().unwrap();
            let mut all = flat(&y);
            all.extend(flat(gradients.get(&h).unwrap()));
            all
        });
    }
}
