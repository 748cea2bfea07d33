use rayon::prelude::*;

use crate::{
    element::Element,
    gemm::Into,
    rows::values_per_task,
    vectorized::{LANES, dot_inline, sum_lanes, vectorized},
};

/// `y = weight · x / √(mean(x²) + eps)` over each piece of x that is as long as the weight (arXiv 1910.07467): the rows of a
/// residual stream, or the heads of queries and keys.
///
/// # Panics
/// Where y and x differ in length, or the length of the weight does not divide it.
pub fn rms_norm<X: Element, Y: Element>(y: &mut [Y], x: &[X], weight: &[f32], eps: f32) {
    check(x.len(), y.len(), weight);
    let task = values_per_task(weight.len());
    y.par_chunks_mut(task).zip(x.par_chunks(task)).for_each(|(y, x)| forward(y, x, weight, eps));
}

/// The gradient of x, given that of y: `dx (+)= …`.
///
/// # Panics
/// As [`rms_norm`].
pub fn rms_norm_backward<X: Element>(dx: &mut [f32], into: Into, x: &[X], dy: &[f32], weight: &[f32], eps: f32) {
    check(x.len(), dx.len(), weight);
    check(x.len(), dy.len(), weight);
    let task = values_per_task(weight.len());
    let tasks = dx.par_chunks_mut(task).zip(x.par_chunks(task)).zip(dy.par_chunks(task));
    tasks.for_each(|((dx, x), dy)| backward(dx, into, x, dy, weight, eps));
}

fn check(len: usize, other: usize, weight: &[f32]) {
    assert!(len == other && !weight.is_empty() && len.is_multiple_of(weight.len()), "operands of a norm");
}

#[inline(always)]
fn inverse_rms<X: Element>(x: &[X], eps: f32) -> f32 {
    1.0 / (dot_inline(x, x) / x.len() as f32 + eps).sqrt()
}

vectorized! {
    fn forward<X: Element, Y: Element>(y: &mut [Y], x: &[X], weight: &[f32], eps: f32) {
        for (y, x) in y.chunks_exact_mut(weight.len()).zip(x.chunks_exact(weight.len())) {
            let inverse = inverse_rms(x, eps);
            for ((y, x), weight) in y.iter_mut().zip(x).zip(weight) {
                *y = Y::from_f32(weight * (x.to_f32() * inverse));
            }
        }
    }
}

vectorized! {
    /// With u = dy · weight and i the inverse RMS: dx = i·u − x · i³ · (u · x) / dim.
    fn backward<X: Element>(dx: &mut [f32], into: Into, x: &[X], dy: &[f32], weight: &[f32], eps: f32) {
        let dim = weight.len();
        let kept = if into == Into::Add { 1.0 } else { 0.0 };
        for ((dx, x), dy) in dx.chunks_exact_mut(dim).zip(x.chunks_exact(dim)).zip(dy.chunks_exact(dim)) {
            let inverse = inverse_rms(x, eps);
            let along = inverse * inverse * inverse * weighted_dot_inline(dy, weight, x) / dim as f32;
            for (((dx, x), dy), weight) in dx.iter_mut().zip(x).zip(dy).zip(weight) {
                *dx = kept * *dx + (inverse * (dy * weight) - along * x.to_f32());
            }
        }
    }
}

/// Σ dy · weight · x
#[inline(always)]
fn weighted_dot_inline<X: Element>(dy: &[f32], weight: &[f32], x: &[X]) -> f32 {
    let mut lanes = [0.0; LANES];
    let ((dy, dy_rest), (weight, weight_rest)) = (dy.as_chunks::<LANES>(), weight.as_chunks::<LANES>());
    let (x, x_rest) = x.as_chunks::<LANES>();
    for ((dy, weight), x) in dy.iter().zip(weight).zip(x) {
        for (i, lane) in lanes.iter_mut().enumerate() {
            *lane += dy[i] * weight[i] * x[i].to_f32();
        }
    }
    let rest = dy_rest.iter().zip(weight_rest).zip(x_rest);
    sum_lanes(lanes) + rest.map(|((dy, weight), x)| dy * weight * x.to_f32()).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, check_slopes, noise};

    fn reference(x: &[f32], weight: &[f32], eps: f64) -> Vec<f32> {
        let piece = |x: &[f32]| {
            let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / x.len() as f64;
            let norm =
                move |(x, weight): (&f32, &f32)| (f64::from(*x) / (mean + eps).sqrt() * f64::from(*weight)) as f32;
            x.iter().zip(weight).map(norm).collect::<Vec<_>>()
        };
        x.chunks_exact(weight.len()).flat_map(piece).collect()
    }

    #[test]
    fn agrees_with_the_formula_over_odd_shapes() {
        for (rows, dim) in [(1, 1), (3, 67), (50, 576)] {
            let (x, weight) = (noise(rows * dim, 1), noise(dim, 2));
            let mut y = vec![0.0_f32; x.len()];
            rms_norm(&mut y, &x, &weight, 1e-5);
            assert_close(&y, &reference(&x, &weight, 1e-5), 1e-6);
        }
    }

    #[test]
    fn gradient() {
        let (x, weight) = (noise(45, 1), noise(9, 2));
        let mut dx = vec![0.5; x.len()];
        let dy = noise(x.len(), 3);
        rms_norm_backward(&mut dx, Into::Add, &x, &dy, &weight, 1e-2);
        dx.iter_mut().for_each(|dx| *dx -= 0.5);
        check_slopes(&x, &dx, |x| {
            let mut y = vec![0.0_f32; x.len()];
            rms_norm(&mut y, x, &weight, 1e-2);
            (y, dy.clone())
        });
        let mut set = vec![f32::MAX; x.len()];
        rms_norm_backward(&mut set, Into::Set, &x, &dy, &weight, 1e-2);
        assert_close(&set, &dx, 1e-5);
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (x, weight) = (noise(150 * 576, 1), noise(576, 2));
        assert_independent_of_threads(|| {
            let mut y = vec![0.0_f32; x.len()];
            rms_norm(&mut y, &x, &weight, 1e-5);
            y
        });
    }
}
