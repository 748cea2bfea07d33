use half::bf16;
use proptest::prelude::*;

use super::{Into, Kernel, Portable, Scale, Threads, gemm, kernel, product};
use crate::{
    element::{Element, Precision},
    isa::Isa,
    mat::{Mat, MatMut},
    testing::{assert_close, assert_independent_of_threads, noise},
};

/// A product by its formula in f64, of operands rounded as the precision says.
fn reference<L: Element, R: Element>(lhs: Mat<'_, L>, rhs: Mat<'_, R>, precision: Precision) -> Vec<f32> {
    let round = |value: f32| match precision {
        Precision::F32 => f64::from(value),
        Precision::Bf16 => f64::from(bf16::from_f32(value).to_f32()),
    };
    let left = |i: usize, k: usize| round(lhs.data[i * lhs.row_stride + k * lhs.col_stride].to_f32());
    let right = |k: usize, j: usize| round(rhs.data[k * rhs.row_stride + j * rhs.col_stride].to_f32());
    let element = |i: usize, j: usize| (0..lhs.cols).map(|k| left(i, k) * right(k, j)).sum::<f64>() as f32;
    (0..lhs.rows).flat_map(|i| (0..rhs.cols).map(move |j| (i, j))).map(|(i, j)| element(i, j)).collect()
}

/// Every kernel that this machine can run, with the precision that it computes in.
fn kernels<L: Element, R: Element>() -> Vec<(Precision, fn(MatMut<'_>, Scale, Mat<'_, L>, Mat<'_, R>, Threads))> {
    let mut kernels: Vec<(Precision, fn(MatMut<'_>, Scale, Mat<'_, L>, Mat<'_, R>, Threads))> =
        vec![(Precision::F32, product::<Portable, L, R>)];
    #[cfg(target_arch = "x86_64")]
    {
        if Isa::Avx2.is_available() {
            kernels.push((Precision::F32, product::<kernel::Avx2, L, R>));
        }
        if Isa::Avx512.is_available() {
            kernels.push((Precision::F32, product::<kernel::Avx512, L, R>));
        }
        if Isa::Avx512Bf16.is_available() {
            kernels.push((Precision::Bf16, product::<kernel::Avx512Bf16, L, R>));
        }
        if Isa::Amx.is_available() {
            kernels.push((Precision::Bf16, product::<kernel::Amx, L, R>));
        }
    }
    kernels
}

fn check<L: Element, R: Element>(lhs: Mat<'_, L>, rhs: Mat<'_, R>) {
    let (rows, cols) = (lhs.rows, rhs.cols);
    for (precision, product) in kernels::<L, R>() {
        let expected = reference(lhs, rhs, precision);
        for threads in [Threads::One, Threads::Pool] {
            // Columns of a wider matrix, of which the others must stay.
            let mut wide = vec![0.25; rows * (cols + 3)];
            let dst = MatMut::strided(&mut wide, rows, cols, cols + 3);
            product(dst, Scale { into: Into::Set, factor: 1.0 }, lhs, rhs, threads);
            let dst = MatMut::strided(&mut wide, rows, cols, cols + 3);
            product(dst, Scale { into: Into::Add, factor: 0.5 }, lhs, rhs, threads);
            let got: Vec<f32> = wide.chunks_exact(cols + 3).flat_map(|row| &row[..cols]).map(|x| x / 1.5).collect();
            assert_close(&got, &expected, 2e-5);
            assert!(wide.chunks_exact(cols + 3).all(|row| row[cols..] == [0.25; 3]));
        }
    }
}

/// A matrix stored by rows or by columns.
fn stored<T>(data: &[T], rows: usize, cols: usize, by_columns: bool) -> Mat<'_, T> {
    if by_columns { Mat::strided(data, cols, rows, rows + 2).t() } else { Mat::strided(data, rows, cols, cols + 2) }
}

fn check_stored(m: usize, n: usize, k: usize, [left, right]: [bool; 2]) {
    let len = |rows: usize, cols: usize| (rows + 2) * (cols + 2);
    let (a, b) = (noise(len(m, k), 1), noise(len(k, n), 2));
    let round = |values: &[f32]| values.iter().map(|value| bf16::from_f32(*value)).collect::<Vec<_>>();
    let (a16, b16) = (round(&a), round(&b));
    check(stored(&a, m, k, left), stored(&b, k, n, right));
    check(stored(&a16, m, k, left), stored(&b16, k, n, right));
    check(stored(&a, m, k, left), stored(&b16, k, n, right));
}

#[test]
fn products_of_odd_shapes_and_strides() {
    let shapes = [(1, 1, 1), (1, 7, 5), (3, 1, 9), (8, 48, 64), (5, 17, 33), (65, 49, 130), (130, 31, 7), (9, 200, 2)];
    for (m, n, k) in shapes {
        for stored in [[false, false], [false, true], [true, false], [true, true]] {
            check_stored(m, n, k, stored);
        }
    }
}

#[test]
fn long_sums_are_cut() {
    check_stored(3, 5, super::DEPTH + 7, [false, true]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_of_any_shape(m in 1_usize..90, n in 1_usize..120, k in 1_usize..70, left: bool, right: bool) {
        check_stored(m, n, k, [left, right]);
    }
}

#[test]
fn an_empty_sum_is_zero() {
    let mut dst = [7.0; 6];
    let (lhs, rhs) = (Mat::<f32>::new(&[], 2, 0), Mat::<f32>::new(&[], 0, 3));
    gemm(MatMut::new(&mut dst, 2, 3), Into::Add, 1.0, lhs, rhs, Precision::F32, Threads::One);
    assert_eq!(dst, [7.0; 6]);
    gemm(MatMut::new(&mut dst, 2, 3), Into::Set, 1.0, lhs, rhs, Precision::F32, Threads::One);
    assert_eq!(dst, [0.0; 6]);
}

#[test]
fn a_nan_beyond_a_row_is_not_read() {
    // A row of odd length is followed by something that must not count.
    let mut a = vec![f32::NAN; 4 * 8];
    a.chunks_exact_mut(8).for_each(|row| row[..5].fill(1.0));
    let b = vec![1.0_f32; 5 * 60];
    for (_, product) in kernels::<f32, f32>() {
        let mut dst = vec![0.0; 4 * 60];
        let (lhs, rhs) = (Mat::strided(&a, 4, 5, 8), Mat::new(&b, 5, 60));
        product(MatMut::new(&mut dst, 4, 60), Scale { into: Into::Set, factor: 1.0 }, lhs, rhs, Threads::One);
        assert_eq!(dst, vec![5.0; 4 * 60]);
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let (inputs, outputs, rows) = (83, 70, 300);
    let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
    for (_, product) in kernels::<f32, f32>() {
        let run = |x: &[f32]| {
            let rows = x.len() / inputs;
            let mut y = vec![0.0; rows * outputs];
            let (lhs, rhs) = (Mat::new(x, rows, inputs), Mat::new(&w, outputs, inputs).t());
            product(MatMut::new(&mut y, rows, outputs), Scale { into: Into::Set, factor: 1.0 }, lhs, rhs, Threads::One);
            y
        };
        let together = run(&x);
        for some in [1, 2, 5, 11, 23, 40, 200] {
            for (x, together) in x.chunks(some * inputs).zip(together.chunks(some * outputs)) {
                assert_eq!(run(x), together);
            }
        }
    }
}

#[test]
fn does_not_depend_on_threads() {
    let (x, w) = (noise(150 * 96, 1), noise(200 * 96, 2));
    for precision in [Precision::F32, Precision::Bf16] {
        assert_independent_of_threads(|| {
            let mut y = vec![0.0; 150 * 200];
            let (lhs, rhs) = (Mat::new(&x, 150, 96), Mat::new(&w, 200, 96).t());
            gemm(MatMut::new(&mut y, 150, 200), Into::Set, 1.0, lhs, rhs, precision, Threads::Pool);
            y
        });
    }
}

#[test]
fn kernels_fit_into_a_tile() {
    fn fits<K: Kernel>() -> bool {
        K::ROWS * K::COLS <= kernel::TILE_VALUES_MAX
    }
    assert!(fits::<Portable>());
    #[cfg(target_arch = "x86_64")]
    assert!(
        fits::<kernel::Avx2>() && fits::<kernel::Avx512>() && fits::<kernel::Avx512Bf16>() && fits::<kernel::Amx>()
    );
}
