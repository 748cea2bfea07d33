use crate::vectorized::{LANES, max_inline, sum_lanes, vectorized};

/// Below this, `exp` is no longer a normal f32; the result is 0.
const EXP_MIN: f32 = -87.336_54;
const EXP_MAX: f32 = 88.722_83;

/// `exp` within 2 units in the last place, in a form that vectorises.
///
/// Cephes' `expf`: x = n ln 2 + r with |r| ≤ ln 2 / 2, a polynomial in r, times 2ⁿ.
#[inline(always)]
pub(crate) fn exp_inline(x: f32) -> f32 {
    // Adding and taking away 1.5 · 2²³ rounds to an integer, which then sits in the sum's low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x > EXP_MAX { EXP_MAX } else { x };
    let clamped = if clamped < EXP_MIN { EXP_MIN } else { clamped };
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4;
    let r = r - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // n is at most 128: two factors, since 2¹²⁸ alone is not an f32.
    let bits = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = bits >> 1;
    let scale = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    let y = p * scale(half) * scale(bits - half);
    let y = if x < EXP_MIN { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

/// `1 / (1 + exp(-x))`
#[inline(always)]
pub(crate) fn sigmoid_inline(x: f32) -> f32 {
    1.0 / (1.0 + exp_inline(-x))
}

/// Puts `exp(x - shift)` in the place of each value and returns their sum.
#[inline(always)]
pub(crate) fn exp_and_sum_inline(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            chunk[i] = exp_inline(chunk[i] - shift);
            lanes[i] += chunk[i];
        }
    }
    let mut sum = sum_lanes(lanes);
    for x in rest {
        *x = exp_inline(*x - shift);
        sum += *x;
    }
    sum
}

vectorized! {
    /// Softmax in place; returns the logarithm of the sum of the exponentials. `scale` multiplies the values first.
    pub(crate) fn softmax(x: &mut [f32], scale: f32) -> f32 {
        for x in x.iter_mut() {
            *x *= scale;
        }
        let max = max_inline(x);
        let sum = exp_and_sum_inline(x, max);
        let inverse = 1.0 / sum;
        for x in x.iter_mut() {
            *x *= inverse;
        }
        max + sum.ln()
    }
}

vectorized! {
    /// Puts `exp(x * scale - shift)` in the place of each value.
    pub(crate) fn exp_scaled(x: &mut [f32], scale: f32, shift: f32) {
        for x in x.iter_mut() {
            *x = exp_inline(*x * scale - shift);
        }
    }
}

vectorized! {
    /// Puts `exp(x - max)` in the place of each value, where `max` is the greater of `floor` and the greatest value.
    /// Returns that maximum and the sum.
    pub(crate) fn exp_above(x: &mut [f32], floor: f32) -> (f32, f32) {
        let max = max_inline(x);
        let max = if floor > max { floor } else { max };
        let sum = exp_and_sum_inline(x, max);
        (max, sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_a_ten_millionth() {
        for i in -870_000..=880_000 {
            let x = i as f32 * 1e-4;
            let exact = f64::from(x).exp();
            let error = (f64::from(exp_inline(x)) - exact).abs() / exact;
            assert!(error < 2.5e-7, "exp({x}) is off by {error}");
        }
    }

    #[test]
    fn exp_keeps_the_edges() {
        assert_eq!(exp_inline(0.0), 1.0);
        assert_eq!(exp_inline(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_inline(-1e30), 0.0);
        assert!(exp_inline(f32::NAN).is_nan());
        assert!(exp_inline(100.0) > 3e38);
    }

    #[test]
    fn softmax_of_odd_lengths_adds_up_to_one() {
        for length in 1..70 {
            let mut x: Vec<f32> = (0..length).map(|i| ((i * 37) % 11) as f32 - 5.0).collect();
            let expected: f64 = x.iter().map(|x| f64::from(0.5 * x).exp()).sum();
            let log_sum = softmax(&mut x, 0.5);
            assert!((f64::from(log_sum) - expected.ln()).abs() < 1e-6);
            assert!((x.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        }
    }
}
