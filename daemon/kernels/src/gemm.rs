use gemm::Parallelism;

#[cfg(target_arch = "x86_64")]
use crate::avx512;

/// A matrix in a slice: element (i, j) is at `i * row_stride + j * col_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Mat<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a> Mat<'a> {
    /// A dense row-major matrix.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// A row-major matrix with gaps between its rows: some columns of a wider one.
    pub(crate) fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
        }
    }

    fn fits(&self) -> bool {
        fits(self.data.len(), self.rows, self.cols, self.row_stride, self.col_stride)
    }
}

fn fits(len: usize, rows: usize, cols: usize, row_stride: usize, col_stride: usize) -> bool {
    rows == 0 || cols == 0 || (rows - 1) * row_stride + (cols - 1) * col_stride < len
}

/// What a product does to the destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Into {
    /// Overwrites it, whatever it holds.
    Set,
    /// Adds to it.
    Add,
}

/// Where a product runs. The result is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    /// On the threads of the current rayon pool.
    Pool,
    /// On the calling thread, which is one of several at work.
    One,
}

/// `dst (+)= factor * lhs * rhs`, with a dense row-major `dst` of `lhs.rows` times `rhs.cols`.
///
/// # Panics
/// Where a matrix is smaller than its dimensions say: a bug of the calling kernel, caught before memory is touched.
pub(crate) fn gemm(dst: &mut [f32], into: Into, factor: f32, lhs: Mat<'_>, rhs: Mat<'_>, threads: Threads) {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    assert_eq!(k, rhs.rows, "inner dimensions of a product");
    assert!(lhs.fits() && rhs.fits() && dst.len() >= m * n, "operands of a product are too short");
    if m == 0 || n == 0 {
        return;
    }
    // The gemm crate's AVX-512 kernel reaches half of what the processor can do; elsewhere it serves well.
    #[cfg(target_arch = "x86_64")]
    if avx512::suits(m, n, k) {
        return avx512::product(dst, into, factor, lhs, rhs, threads);
    }
    let parallelism = match threads {
        Threads::Pool => Parallelism::Rayon(0),
        Threads::One => Parallelism::None,
    };
    let add = into == Into::Add;
    // SAFETY: all three matrices lie within their slices (asserted above), `dst` is borrowed mutably and so overlaps
    // neither operand, and where it is not read, every element of it is written.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            n as isize,
            add,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            if add { 1.0 } else { 0.0 },
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, noise};

    fn reference(factor: f32, lhs: Mat<'_>, rhs: Mat<'_>) -> Vec<f32> {
        let at = |m: &Mat<'_>, i: usize, j: usize| f64::from(m.data[i * m.row_stride + j * m.col_stride]);
        let mut out = Vec::new();
        for i in 0..lhs.rows {
            for j in 0..rhs.cols {
                let sum: f64 = (0..lhs.cols).map(|k| at(&lhs, i, k) * at(&rhs, k, j)).sum();
                out.push((f64::from(factor) * sum) as f32);
            }
        }
        out
    }

    #[test]
    fn products_of_odd_shapes_and_strides() {
        for (m, n, k) in [
            (1, 1, 1),
            (1, 7, 5),
            (3, 1, 9),
            (5, 17, 33),
            (65, 31, 129),
            (2, 64, 3),
            (64, 48, 32),
            (37, 101, 515),
            (200, 250, 600),
        ] {
            let lhs = noise(m * (k + 3), 1);
            let rhs = noise(n * k, 2);
            let (lhs, rhs) = (Mat::strided(&lhs, m, k, k + 3), Mat::new(&rhs, n, k).t());
            let expected = reference(0.5, lhs, rhs);
            let mut dst = vec![f32::NAN; m * n];
            gemm(&mut dst, Into::Set, 0.5, lhs, rhs, Threads::Pool);
            assert_close(&dst, &expected, 1e-5);
            gemm(&mut dst, Into::Add, 0.5, lhs, rhs, Threads::One);
            let twice: Vec<f32> = expected.iter().map(|x| 2.0 * x).collect();
            assert_close(&dst, &twice, 1e-5);
            // The transposes, so that operands are stored both ways.
            let mut transposed = vec![f32::NAN; m * n];
            gemm(&mut transposed, Into::Set, 0.5, rhs.t(), lhs.t(), Threads::Pool);
            for (i, row) in expected.chunks_exact(n).enumerate() {
                let column: Vec<f32> = (0..n).map(|j| transposed[j * m + i]).collect();
                assert_close(&column, row, 1e-4);
            }
        }
    }

    #[test]
    fn an_empty_sum_is_zero() {
        let mut dst = [7.0; 6];
        gemm(&mut dst, Into::Set, 1.0, Mat::new(&[], 2, 0), Mat::new(&[], 0, 3), Threads::One);
        assert_eq!(dst, [0.0; 6]);
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn operands_are_checked() {
        gemm(&mut [0.0; 4], Into::Set, 1.0, Mat::new(&[0.0; 3], 2, 2), Mat::new(&[0.0; 4], 2, 2), Threads::One);
    }
}
