use std::arch::x86_64::{
    __m256bh, __m256i, __m512bh, __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_dpbf16_ps, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
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
/// f32 on AVX2 for up to 8 columns: enough sums to hide the latency of each.
pub(in crate::gemm) struct Avx2Narrow;
/// Pairs of bf16 for up to 8 columns: half vectors, of which processors multiply twice as many.
pub(in crate::gemm) struct Avx512Bf16Narrow;

/// How many blocks of rows ahead the left operand is fetched into the second-level cache: where it is a weight that comes
/// from memory, a row at a time is not what the processor's own prefetching is made for.
const BLOCKS_AHEAD: usize = 2;
/// How many steps ahead a panel, which is longer than the first-level cache, is fetched into that.
const STEPS_AHEAD: usize = 12;
const CACHE_LINE_BYTES: usize = 64;

/// Defines a kernel whose tile is so many rows of up to so many vectors, and the products for each number of vectors.
macro_rules! define_kernel {
    (
        $kernel:ident, $narrow:ty, $element:ty, $step:expr, $rows:expr, $width:expr, [$($vectors:literal),+],
        $features:literal,
        $zero:ident, $load:expr, $splat:expr, $multiply_add:expr, $store:ident
    ) => {
        impl Kernel for $kernel {
            type E = $element;
            type Session = ();
            type Narrow = $narrow;
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
                const LINE_STEPS: usize = CACHE_LINE_BYTES / size_of::<$element>() / $step;
                let mut ahead = left.first.wrapping_add(BLOCKS_AHEAD * $rows * left.stride);
                let mut first = 0;
                while first < steps {
                    for _ in 0..$rows {
                        _mm_prefetch::<_MM_HINT_T1>(ahead.cast());
                        ahead = ahead.wrapping_add(CACHE_LINE_BYTES / size_of::<$element>());
                    }
                    let last = steps.min(first + LINE_STEPS);
                    for step in first..last {
                        // SAFETY: a panel has a vector.
                        let mut values = [unsafe { $load(panel) }; VECTORS];
                        for (vector, value) in values.iter_mut().enumerate() {
                            let ahead = (step + STEPS_AHEAD) * <Self as Kernel>::COLS + vector * $width;
                            _mm_prefetch::<_MM_HINT_T0>(panel.wrapping_add(ahead * $step).cast());
                            let at = (step * <Self as Kernel>::COLS + vector * $width) * $step;
                            // SAFETY: a panel has a tile's columns at each step, no fewer than those of VECTORS vectors.
                            *value = unsafe { $load(panel.add(at)) };
                        }
                        for (row, sums) in tile.iter_mut().enumerate() {
                            // SAFETY: each row has this step.
                            let factor = unsafe { $splat(rows[row].add(step * $step)) };
                            for (sum, value) in sums.iter_mut().zip(values) {
                                *sum = $multiply_add(factor, value, *sum);
                            }
                        }
                    }
                    first = last;
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
    Avx2Narrow,
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
    Avx512Bf16Narrow,
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
    Avx2Narrow,
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
define_kernel!(
    Avx2Narrow,
    Self,
    f32,
    1,
    12,
    8,
    [1],
    "avx2,fma",
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    |at: *const f32| _mm256_set1_ps(*at),
    _mm256_fmadd_ps,
    _mm256_storeu_ps
);
define_kernel!(
    Avx512Bf16Narrow,
    Self,
    bf16,
    2,
    12,
    8,
    [1],
    "avx512f,avx512vl,avx512bf16",
    _mm256_setzero_ps,
    |at: *const bf16| as_half_pairs(_mm256_loadu_si256(at.cast())),
    |at: *const bf16| as_half_pairs(_mm256_set1_epi32(at.cast::<i32>().read_unaligned())),
    |factor, value, sum| _mm256_dpbf16_ps(sum, factor, value),
    _mm256_storeu_ps
);

#[inline(always)]
fn as_pairs(bits: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits, and any of them are pairs of bf16.
    unsafe { std::mem::transmute(bits) }
}

#[inline(always)]
fn as_half_pairs(bits: __m256i) -> __m256bh {
    // SAFETY: both are 256 bits, and any of them are pairs of bf16.
    unsafe { std::mem::transmute(bits) }
}
