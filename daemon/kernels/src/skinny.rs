use rayon::prelude::*;

use crate::isa::{LANES, sum_lanes, vectorized};
#[cfg(target_arch = "x86_64")]
use crate::lanes;

/// Up to this many rows, a product with a wide weight is bound by reading the weight once: packing it for GEMM would read
/// and write it again. Token by token generation lives here.
pub(crate) const SKINNY_ROWS_MAX: usize = 64;

/// Weight rows per task.
const TASK_OUTPUTS: usize = 64;

/// The most rows that a pass may have for the linear layers to compute each as if it were alone, to the bit. More go through
/// GEMM, whose order of summation may depend on the shape. Depends on the instruction set.
pub fn independent_rows_max() -> usize {
    #[cfg(target_arch = "x86_64")]
    if lanes::available() {
        return lanes::ROWS_MAX;
    }
    SKINNY_ROWS_MAX
}

/// `y = x · wᵀ` for few rows: x `[rows, inputs]`, w `[outputs, inputs]`, y `[rows, outputs]`.
pub(crate) fn skinny_product(y: &mut [f32], x: &[f32], w: &[f32], rows: usize, inputs: usize) {
    if rows == 0 || inputs == 0 {
        y.fill(0.0);
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if lanes::available() {
        return lanes::product(y, x, w, inputs);
    }
    by_dots(y, x, w, rows, inputs);
}

/// As [`skinny_product`], on any processor.
fn by_dots(y: &mut [f32], x: &[f32], w: &[f32], rows: usize, inputs: usize) {
    let outputs = w.len() / inputs;
    if rows == 1 {
        let tasks = y.par_chunks_mut(TASK_OUTPUTS).zip(w.par_chunks(TASK_OUTPUTS * inputs));
        return tasks.for_each(|(y, w)| dots(y, x, w, inputs));
    }
    let mut transposed = vec![0.0; outputs * rows];
    let tasks = transposed.par_chunks_mut(TASK_OUTPUTS * rows).zip(w.par_chunks(TASK_OUTPUTS * inputs));
    tasks.for_each(|(y, w)| dots(y, x, w, inputs));
    for (row, y) in y.chunks_exact_mut(outputs).enumerate() {
        for (y, column) in y.iter_mut().zip(transposed.chunks_exact(rows)) {
            *y = column[row];
        }
    }
}

/// Rows of weights and of x whose products are summed at once: sixteen sums fill half the registers of AVX-512, and each
/// value that is loaded is used four times.
const TILE: usize = 4;

vectorized! {
    /// `y[o, r] = w[o] · x[r]`
    ///
    /// Each product is summed in the same order whatever it shares a tile with, so a row's result does not depend on the
    /// other rows of its batch.
    pub(crate) fn dots(y: &mut [f32], x: &[f32], w: &[f32], inputs: usize) {
        let rows = x.len() / inputs;
        for (y, w) in y.chunks_mut(TILE * rows).zip(w.chunks(TILE * inputs)) {
            for (tile, x) in x.chunks(TILE * inputs).enumerate() {
                let y = &mut y[tile * TILE..];
                match (w.len() / inputs, x.len() / inputs) {
                    (4, 4) => tile_of::<4, 4>(y, rows, x, w, inputs),
                    (4, 3) => tile_of::<4, 3>(y, rows, x, w, inputs),
                    (4, 2) => tile_of::<4, 2>(y, rows, x, w, inputs),
                    (4, _) => tile_of::<4, 1>(y, rows, x, w, inputs),
                    (_, x_rows) => {
                        for (y, w) in y.chunks_mut(rows).zip(w.chunks_exact(inputs)) {
                            for (row, x) in x.chunks_exact(inputs).enumerate().take(x_rows) {
                                tile_of::<1, 1>(&mut y[row..], rows, x, w, inputs);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The products of `W` rows of weights and `X` rows of x; `y` steps by `rows` from one row of weights to the next.
#[inline(always)]
fn tile_of<const W: usize, const X: usize>(y: &mut [f32], rows: usize, x: &[f32], w: &[f32], inputs: usize) {
    let x: [_; X] = std::array::from_fn(|row| x[row * inputs..][..inputs].as_chunks::<LANES>());
    let w: [_; W] = std::array::from_fn(|row| w[row * inputs..][..inputs].as_chunks::<LANES>());
    let mut sums = [[[0.0; LANES]; X]; W];
    for at in 0..inputs / LANES {
        for (sums, (w, _)) in sums.iter_mut().zip(&w) {
            let w = w[at];
            for (sums, (x, _)) in sums.iter_mut().zip(&x) {
                let x = x[at];
                for lane in 0..LANES {
                    sums[lane] += w[lane] * x[lane];
                }
            }
        }
    }
    for (at_w, (sums, (_, w_rest))) in sums.into_iter().zip(&w).enumerate() {
        for (at_x, (lanes, (_, x_rest))) in sums.into_iter().zip(&x).enumerate() {
            let rest: f32 = w_rest.iter().zip(*x_rest).map(|(w, x)| w * x).sum();
            y[at_w * rows + at_x] = sum_lanes(lanes) + rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Into, Mat, Threads, gemm};
    use crate::testing::{assert_close, assert_independent_of_threads, noise};

    #[test]
    fn agrees_with_gemm() {
        for (rows, inputs, outputs) in [
            (1, 1, 1),
            (1, 67, 130),
            (2, 16, 65),
            (3, 64, 64),
            (8, 100, 3),
            (13, 50, 71),
            (17, 33, 9),
            (48, 20, 64),
            (101, 40, 70),
        ] {
            let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
            let mut expected = vec![0.0; rows * outputs];
            let (x_mat, w_mat) = (Mat::new(&x, rows, inputs), Mat::new(&w, outputs, inputs));
            gemm(&mut expected, Into::Set, 1.0, x_mat, w_mat.t(), Threads::One);
            for product in [skinny_product, by_dots] {
                let mut got = vec![f32::NAN; rows * outputs];
                product(&mut got, &x, &w, rows, inputs);
                assert_close(&got, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn row_does_not_depend_on_the_others() {
        let (inputs, outputs, rows) = (83, 70, independent_rows_max());
        let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
        for product in [skinny_product, by_dots] {
            let product = |x: &[f32]| {
                let rows = x.len() / inputs;
                let mut y = vec![0.0; rows * outputs];
                product(&mut y, x, &w, rows, inputs);
                y
            };
            let together = product(&x);
            for some in [1, 2, 5, 11, 23, 40] {
                for (x, together) in x.chunks(some * inputs).zip(together.chunks(some * outputs)) {
                    assert_eq!(product(x), together);
                }
            }
        }
    }

    #[test]
    fn does_not_depend_on_threads() {
        let (x, w) = (noise(3 * 96, 1), noise(500 * 96, 2));
        assert_independent_of_threads(|| {
            let mut y = vec![0.0; 3 * 500];
            skinny_product(&mut y, &x, &w, 3, 96);
            y
        });
    }
}
