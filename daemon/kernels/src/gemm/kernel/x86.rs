use std::arch::x86_64::{
    __m512bh, __m512i, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_set1_ps,
    _mm512_setzero_ps, _mm512_storeu_ps,
};

use half::bf16;

use super::{Kernel, Rows, TILE_VALUES_MAX};

/// f32 on AVX-512: 8 rows of 3 vectors leave room for one vector of each operand.
pub(in crate::gemm) struct Avx512;
/// Pairs of bf16 on AVX512-BF16, as [`Avx512`].
pub(in crate::gemm) struct Avx512Bf16;
/// f32 on AVX2 with FMA: 6 rows of 2 vectors.
pub(in crate::gemm) struct Avx2;

/// Defines a kernel whose tile is so many rows of up to so many vectors, and the products for each number of vectors.
macro_rules! define_kernel {
    (
        $kernel:ident, $element:ty, $step:expr, $rows:expr, $width:expr, [$($vectors:literal),+], $features:literal,
        $zero:ident, $load:expr, $splat:expr, $multiply_add:expr, $store:ident
    ) => {
        impl Kernel for $kernel {
            type E = $element;
            type Session = ();
            const STEP: usize = $step;
            const ROWS: usize = $rows;
            const COLS: usize = $width * define_kernel!(@last $($vectors),+);

            unsafe fn start() {}

            unsafe fn tile(
                (): &mut (),
                left: Rows<$element>,
                cols: usize,
                panel: *const $element,
                steps: usize,
                sums: &mut [f32; TILE_VALUES_MAX],
            ) {
                // SAFETY: the caller's promises are passed on; the vectors cover the columns that there are.
                unsafe {
                    match cols.div_ceil($width) {
                        $($vectors => $kernel::of_vectors::<$vectors>(left, panel, steps, sums),)+
                        _ => debug_assert!(false, "{cols} columns do not fit into a tile"),
                    }
                }
            }
        }

        impl $kernel {
            #[target_feature(enable = $features)]
            unsafe fn of_vectors<const VECTORS: usize>(
                left: Rows<$element>,
                panel: *const $element,
                steps: usize,
                sums: &mut [f32; TILE_VALUES_MAX],
            ) {
                let rows: [_; $rows] = std::array::from_fn(|row| left.row_or_last(row));
                let mut tile = [[$zero(); VECTORS]; $rows];
                for step in 0..steps {
                    // SAFETY: a panel has a vector.
                    let mut values = [unsafe { $load(panel) }; VECTORS];
                    for (vector, value) in values.iter_mut().enumerate() {
                        // SAFETY: a panel has a tile's columns at each step, and VECTORS vectors are no more than those.
                        *value = unsafe { $load(panel.add((step * <Self as Kernel>::COLS + vector * $width) * $step)) };
                    }
                    for (row, sums) in tile.iter_mut().enumerate() {
                        // SAFETY: each row has this step.
                        let factor = unsafe { $splat(rows[row].add(step * $step)) };
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = $multiply_add(factor, value, *sum);
                        }
                    }
                }
                for (row, tile) in tile.iter().enumerate() {
                    for (vector, sum) in tile.iter().enumerate() {
                        let to = &mut sums[row * <Self as Kernel>::COLS + vector * $width..][..$width];
                        // SAFETY: room for one vector.
                        unsafe { $store(to.as_mut_ptr(), *sum) };
                    }
                }
            }
        }
    };
    (@last $last:literal) => { $last };
    (@last $first:literal, $($rest:literal),+) => { define_kernel!(@last $($rest),+) };
}

define_kernel!(
    Avx512,
    f32,
    1,
    8,
    16,
    [1, 2, 3],
    "avx512f",
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    |at: *const f32| _mm512_set1_ps(*at),
    _mm512_fmadd_ps,
    _mm512_storeu_ps
);
define_kernel!(
    Avx512Bf16,
    bf16,
    2,
    8,
    16,
    [1, 2, 3],
    "avx512f,avx512bf16",
    _mm512_setzero_ps,
    |at: *const bf16| as_pairs(_mm512_loadu_si512(at.cast())),
    |at: *const bf16| as_pairs(_mm512_set1_epi32(at.cast::<i32>().read_unaligned())),
    |factor, value, sum| _mm512_dpbf16_ps(sum, factor, value),
    _mm512_storeu_ps
);
define_kernel!(
    Avx2,
    f32,
    1,
    6,
    8,
    [1, 2],
    "avx2,fma",
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    |at: *const f32| _mm256_set1_ps(*at),
    _mm256_fmadd_ps,
    _mm256_storeu_ps
);

#[inline(always)]
fn as_pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits, and any of them are pairs of bf16.
    unsafe { std::mem::transmute(bits) }
}
