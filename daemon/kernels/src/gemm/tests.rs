use half::bf16;
use proptest::prelude::*;

use super::{
    Into, Product, Second, Shared, Threads, gemm,
    kernel::{self, Kernel, Portable},
    multiply,
};
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

type Multiply<L, R> = fn(Vec<Product<'_, L, R>>, Threads);

/// `dst (+)= factor · lhs · rhs` by itself.
fn one<L: Element, R: Element>(
    multiply: Multiply<L, R>,
    dst: MatMut<'_>,
    (into, factor): (Into, f32),
    lhs: Mat<'_, L>,
    rhs: Mat<'_, R>,
    threads: Threads,
) {
    let lhs = &Shared::new(lhs, 1);
    multiply(vec![Product { dst, into, factor, lhs, rhs, prepacked: None, second: None }], threads);
}

/// Which kernels a test runs.
#[derive(Clone, Copy, Debug)]
enum Kernels {
    /// Those that this machine has instructions for, but for tiles.
    Vectors,
    /// The one of AMX, by emulation where the processor lacks it.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Tiles,
}

const KERNELS: &[Kernels] = &[
    Kernels::Vectors,
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Kernels::Tiles,
];

impl Kernels {
    /// Each with the precision that it computes in.
    fn products<L: Element, R: Element>(self) -> Vec<(Precision, Multiply<L, R>)> {
        #[cfg(target_arch = "x86_64")]
        let of = |isa: Isa, precision, multiply: Multiply<L, R>| isa.is_available().then_some((precision, multiply));
        match self {
            Self::Vectors => {
                let mut products: Vec<(Precision, Multiply<L, R>)> = vec![(Precision::F32, multiply::<Portable, L, R>)];
                #[cfg(target_arch = "x86_64")]
                products.extend(of(Isa::Avx2, Precision::F32, multiply::<kernel::Avx2, L, R>));
                #[cfg(target_arch = "x86_64")]
                products.extend(of(Isa::Avx512, Precision::F32, multiply::<kernel::Avx512, L, R>));
                #[cfg(target_arch = "x86_64")]
                products.extend(of(Isa::Avx512Bf16, Precision::Bf16, multiply::<kernel::Avx512Bf16, L, R>));
                products
            }
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Self::Tiles => {
                crate::amx::emulator::install();
                vec![(Precision::Bf16, multiply::<kernel::Amx, L, R>)]
            }
        }
    }
}

fn check<L: Element, R: Element>(kernels: Kernels, lhs: Mat<'_, L>, rhs: Mat<'_, R>) {
    let (rows, cols) = (lhs.rows, rhs.cols);
    for (precision, multiply) in kernels.products::<L, R>() {
        let expected = reference(lhs, rhs, precision);
        for threads in [Threads::One, Threads::Pool] {
            // Columns of a wider matrix, of which the others must stay.
            let mut wide = vec![0.25; rows * (cols + 3)];
            let dst = MatMut::strided(&mut wide, rows, cols, cols + 3);
            one(multiply, dst, (Into::Set, 1.0), lhs, rhs, threads);
            let dst = MatMut::strided(&mut wide, rows, cols, cols + 3);
            one(multiply, dst, (Into::Add, 0.5), lhs, rhs, threads);
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

fn check_stored(kernels: Kernels, (m, n, k): (usize, usize, usize), [left, right]: [bool; 2]) {
    let len = |rows: usize, cols: usize| (rows + 2) * (cols + 2);
    let (a, b) = (noise(len(m, k), 1), noise(len(k, n), 2));
    let round = |values: &[f32]| values.iter().map(|value| bf16::from_f32(*value)).collect::<Vec<_>>();
    let (a16, b16) = (round(&a), round(&b));
    check(kernels, stored(&a, m, k, left), stored(&b, k, n, right));
    check(kernels, stored(&a16, m, k, left), stored(&b16, k, n, right));
    check(kernels, stored(&a, m, k, left), stored(&b16, k, n, right));
}

#[test]
fn products_of_odd_shapes_and_strides() {
    let shapes = [
        (1, 1, 1),
        (1, 7, 5),
        (3, 1, 9),
        (8, 48, 64),
        (5, 17, 33),
        (16, 16, 32),
        (33, 17, 64),
        (65, 49, 130),
        (130, 31, 7),
        (9, 200, 2),
        (100, 210, 40),
    ];
    for kernels in KERNELS {
        for shape in shapes {
            for stored in [[false, false], [false, true], [true, false], [true, true]] {
                check_stored(*kernels, shape, stored);
            }
        }
    }
}

#[test]
fn long_sums_are_cut() {
    for kernels in KERNELS {
        check_stored(*kernels, (3, 5, super::DEPTH + 7), [false, true]);
    }
}

#[test]
fn rows_that_compete_for_a_cache_are_copied() {
    // Rows are 4 KiB apart, and there are panels enough.
    let (a, b) = (noise(40 * 1024, 1), noise(1024 * 200, 2));
    for kernels in KERNELS {
        check(*kernels, Mat::strided(&a, 40, 64, 1024), Mat::strided(&b, 64, 200, 1024));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_of_any_shape(m in 1_usize..90, n in 1_usize..120, k in 1_usize..70, left: bool, right: bool) {
        for kernels in KERNELS {
            check_stored(*kernels, (m, n, k), [left, right]);
        }
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
    for (_, multiply) in KERNELS.iter().flat_map(|kernels| kernels.products::<f32, f32>()) {
        let mut dst = vec![0.0; 4 * 60];
        let (lhs, rhs) = (Mat::strided(&a, 4, 5, 8), Mat::new(&b, 5, 60));
        one(multiply, MatMut::new(&mut dst, 4, 60), (Into::Set, 1.0), lhs, rhs, Threads::One);
        assert_eq!(dst, vec![5.0; 4 * 60]);
    }
}

#[test]
fn a_row_does_not_depend_on_the_others() {
    let (inputs, outputs, rows) = (83, 70, 300);
    let (x, w) = (noise(rows * inputs, 1), noise(outputs * inputs, 2));
    for (_, multiply) in KERNELS.iter().flat_map(|kernels| kernels.products::<f32, f32>()) {
        let run = |x: &[f32]| {
            let rows = x.len() / inputs;
            let mut y = vec![0.0; rows * outputs];
            let (lhs, rhs) = (Mat::new(x, rows, inputs), Mat::new(&w, outputs, inputs).t());
            one(multiply, MatMut::new(&mut y, rows, outputs), (Into::Set, 1.0), lhs, rhs, Threads::One);
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
fn kernels_agree_on_what_bf16_holds_exactly() {
    // Small whole numbers, whose sums are exact in f32 in any order.
    let whole = |len: usize, seed| noise(len, seed).iter().map(|value| (value * 8.0).round()).collect::<Vec<_>>();
    let (a, b) = (whole(37 * 100, 1), whole(100 * 83, 2));
    let (lhs, rhs) = (Mat::new(&a, 37, 100), Mat::new(&b, 100, 83));
    let expected = reference(lhs, rhs, Precision::F32);
    for (_, multiply) in KERNELS.iter().flat_map(|kernels| kernels.products::<f32, f32>()) {
        let mut dst = vec![f32::NAN; 37 * 83];
        one(multiply, MatMut::new(&mut dst, 37, 83), (Into::Set, 1.0), lhs, rhs, Threads::Pool);
        assert_eq!(dst, expected);
    }
}

#[test]
fn kernels_fit_into_a_tile() {
    fn fits<K: Kernel>() -> bool {
        // Tasks are whole tiles, and the narrow kernel sums as the other does.
        let narrow = super::pass::TASK_ROWS.is_multiple_of(K::Narrow::ROWS) && K::Narrow::STEP == K::STEP;
        narrow && super::pass::TASK_ROWS.is_multiple_of(K::ROWS) && K::ROWS * K::COLS <= kernel::TILE_VALUES_MAX
    }
    assert!(fits::<Portable>());
    #[cfg(target_arch = "x86_64")]
    assert!(
        fits::<kernel::Avx2>() && fits::<kernel::Avx512>() && fits::<kernel::Avx512Bf16>() && fits::<kernel::Amx>()
    );
}

#[test]
fn several_products_are_as_each_by_itself() {
    let (inputs, rank) = (40, 5);
    let (w, b) = (noise(300 * inputs, 1), noise(300 * rank, 2));
    let (x, down) = (noise(120 * inputs, 3), noise(120 * rank, 4));
    for (_, multiply) in KERNELS.iter().flat_map(|kernels| kernels.products::<f32, f32>()) {
        for rows in [1, 7, 32, 120] {
            let first = |outputs| (Mat::new(&x, rows, inputs), Mat::new(&w[..outputs * inputs], outputs, inputs).t());
            let second = |outputs| (Mat::new(&down, rows, rank), Mat::new(&b[..outputs * rank], outputs, rank).t());
            let alone = |(lhs, rhs): (Mat<'_, f32>, Mat<'_, f32>)| {
                let mut y = vec![0.0; rows * rhs.cols];
                let dst = MatMut::new(&mut y, rows, rhs.cols);
                one(multiply, dst, (Into::Set, 1.0), lhs, rhs, Threads::One);
                y
            };
            let (shapes, shared) = ([(300, true), (17, false), (64, true)], Shared::new(first(1).0, 3));
            let mut together = shapes.map(|(outputs, _)| vec![0.0; rows * outputs]);
            let products = together.iter_mut().zip(shapes).map(|(y, (outputs, with_second))| {
                let (dst, rhs, lhs) = (MatMut::new(y, rows, outputs), first(outputs).1, &shared);
                let second = with_second.then(|| second(outputs));
                let second = second.map(|(lhs, rhs)| Second { lhs, rhs, prepacked: None });
                Product { dst, into: Into::Set, factor: 1.0, lhs, rhs, prepacked: None, second }
            });
            multiply(products.collect(), Threads::Pool);
            for (together, (outputs, with_second)) in together.into_iter().zip(shapes) {
                let mut expected = alone(first(outputs));
                if with_second {
                    expected.iter_mut().zip(alone(second(outputs))).for_each(|(sum, more)| *sum += more);
                }
                assert_eq!(together, expected);
            }
        }
    }
}
