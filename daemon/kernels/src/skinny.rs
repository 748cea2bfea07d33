use rayon::prelude::*;

use crate::isa::{dot_inline, vectorized};

/// Up to this many rows, a product with a wide weight is bound by reading the weight once: packing it for GEMM would read
/// and write it again. Token by token generation lives here.
pub(crate) const SKINNY_ROWS_MAX: usize = 8;

/// Weight rows per task.
const TASK_OUTPUTS: usize = 64;

/// `y = x · wᵀ` for few rows: x `[rows, inputs]`, w `[outputs, inputs]`, y `[rows, outputs]`.
pub(crate) fn skinny_product(y: &mut [f32], x: &[f32], w: &[f32], rows: usize, inputs: usize) {
    if rows == 0 || inputs == 0 {
        y.fill(0.0);
        return;
    }
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

vectorized! {
    /// `y[o, r] = w[o] · x[r]`
    pub(crate) fn dots(y: &mut [f32], x: &[f32], w: &[f32], inputs: usize) {
        let rows = x.len() / inputs;
        for (y, w) in y.chunks_exact_mut(rows).zip(w.chunks_exact(inputs)) {
            for (y, x) in y.iter_mut().zip(x.chunks_exact(inputs)) {
                *y = dot_inline(x, w);
            }
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
        for (rows, inputs, outputs) in [(1, 1, 1), (1, 67, 130), (2, 16, 65), (3, 64, 64), (8, 100, 3)] {
            let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
            let mut expected = vec![0.0; rows * outputs];
            let (x_mat, w_mat) = (Mat::new(&x, rows, inputs), Mat::new(&w, outputs, inputs));
            gemm(&mut expected, Into::Set, 1.0, x_mat, w_mat.t(), Threads::One);
            let mut got = vec![f32::NAN; rows * outputs];
            skinny_product(&mut got, &x, &w, rows, inputs);
            assert_close(&got, &expected, 1e-5);
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
