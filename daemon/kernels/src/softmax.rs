use crate::{
    exp::exp_and_sum_inline,
    vectorized::{max_inline, vectorized},
};

/// Weights per partial sum, so that a draw walks through one block and not through the vocabulary.
const BLOCK: usize = 1024;

/// The softmax of one row of logits, divided by a temperature, as weights that still have to be divided by their sum.
#[derive(Debug)]
pub struct Softmax<'a> {
    weights: &'a [f32],
    block_sums: Vec<f64>,
    sum: f64,
}

impl<'a> Softmax<'a> {
    /// Puts `exp((logit − greatest) / temperature)` in the place of each logit. `temperature` is above 0.
    ///
    /// `None` where there is no such thing: there are no logits, one is not a number, or none is finite.
    pub fn in_place(logits: &'a mut [f32], temperature: f32) -> Option<Self> {
        let max = max_of(logits);
        let block_sum = |block: &mut [f32]| f64::from(exp_block(block, max, 1.0 / temperature));
        let block_sums: Vec<f64> = logits.chunks_mut(BLOCK).map(block_sum).collect();
        let sum = block_sums.iter().sum();
        // An infinite greatest logit makes its own weight a NaN, and a NaN anywhere the sum.
        (sum > 0.0).then_some(Self { weights: logits, block_sums, sum })
    }

    /// The probability of each token over that of the likeliest.
    pub fn weights(&self) -> &[f32] {
        self.weights
    }

    /// The logarithm of a token's probability.
    pub fn logprob(&self, token: usize) -> f32 {
        (f64::from(self.weights[token]).ln() - self.sum.ln()) as f32
    }

    /// The token at which the weights, added up in the order of the tokens, come to more than `share` of their sum:
    /// a draw, where `share` is uniform in 0..1.
    pub fn token_at(&self, share: f64) -> usize {
        let mut left = share * self.sum;
        for (block, (weights, sum)) in self.weights.chunks(BLOCK).zip(&self.block_sums).enumerate() {
            if left >= *sum {
                left -= sum;
                continue;
            }
            for (place, weight) in weights.iter().enumerate() {
                left -= f64::from(*weight);
                if left < 0.0 {
                    return block * BLOCK + place;
                }
            }
        }
        // Sums taken in another order differ in their last digits: what is left over belongs to the last.
        self.weights.iter().rposition(|weight| *weight > 0.0).unwrap_or_default()
    }
}

vectorized! {
    pub(crate) fn max_of(x: &[f32]) -> f32 {
        max_inline(x)
    }
}

vectorized! {
    /// Puts `exp((x - max) * scale)` in the place of each value, and returns their sum.
    pub(crate) fn exp_block(x: &mut [f32], max: f32, scale: f32) -> f32 {
        for x in x.iter_mut() {
            *x = (*x - max) * scale;
        }
        exp_and_sum_inline(x, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    fn logits(count: usize) -> Vec<f32> {
        noise(count, 1).into_iter().map(|x| 20.0 * x).collect()
    }

    #[test]
    fn agrees_with_a_softmax_in_f64() {
        for (count, temperature) in [(1, 1.0), (3, 0.7), (1000, 1.3), (1024, 1.0), (5003, 0.25)] {
            let logits = logits(count);
            let scaled: Vec<f64> = logits.iter().map(|logit| f64::from(*logit) / f64::from(temperature)).collect();
            let max = scaled.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = max + scaled.iter().map(|x| (x - max).exp()).sum::<f64>().ln();
            let mut weights = logits.clone();
            let softmax = Softmax::in_place(&mut weights, temperature).unwrap();
            for (token, scaled) in scaled.iter().enumerate().filter(|(token, _)| softmax.weights()[*token] > 0.0) {
                assert!((f64::from(softmax.logprob(token)) - (scaled - log_sum)).abs() < 1e-5, "{scaled} {log_sum}");
            }
        }
    }

    #[test]
    fn shares_fall_on_the_token_that_holds_them() {
        let mut weights = logits(3000);
        let softmax = Softmax::in_place(&mut weights, 2.0).unwrap();
        let mut below = 0.0;
        for (token, weight) in softmax.weights().iter().enumerate() {
            let share = (below + 0.5 * f64::from(*weight)) / softmax.sum;
            if *weight > 1e-3 {
                assert_eq!(softmax.token_at(share), token);
            }
            below += f64::from(*weight);
        }
        assert_eq!(Softmax::in_place(&mut [0.0, 0.0, f32::NEG_INFINITY], 1.0).unwrap().token_at(1.0), 1);
    }

    #[test]
    fn a_row_without_a_softmax_has_none() {
        for mut logits in [vec![], vec![0.0, f32::NAN], vec![1.0, f32::INFINITY], vec![f32::NEG_INFINITY; 2]] {
            assert!(Softmax::in_place(&mut logits, 1.0).is_none(), "{logits:?}");
        }
        let certain = &mut [f32::NEG_INFINITY, 3.0];
        let softmax = Softmax::in_place(certain, 1.0).unwrap();
        assert_eq!((softmax.weights(), softmax.logprob(1)), (&[0.0, 1.0][..], 0.0));
    }
}
