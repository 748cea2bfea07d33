//! Products of few rows with a wide weight, for processors with AVX-512.
//!
//! The rows of x are the lanes of vectors, so the weight is read once, as it lies in memory, and is not packed. Each row's
//! sums run over the inner dimension in order, whatever rows are beside it.

use std::arch::x86_64::{
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use rayon::prelude::*;

/// Beyond this, packing for GEMM pays.
pub(crate) const ROWS_MAX: usize = 256;

const VECTOR: usize = 16;
const HALF: usize = VECTOR / 2;
/// Vectors of rows whose sums, for [`TILE_OUTPUTS`] outputs, leave registers for the operands.
const VECTORS_MAX: usize = 3;
const BLOCK_ROWS: usize = VECTORS_MAX * VECTOR;
const TILE_OUTPUTS: usize = 8;
/// Weight rows per task, which stay in the second-level cache from one block of rows to the next.
const TASK_OUTPUTS: usize = 64;

/// Whether [`product`] can run here.
pub(crate) fn available() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx2")
        && std::arch::is_x86_feature_detected!("fma")
}

/// `y = x · wᵀ`: x `[rows, inputs]`, w `[outputs, inputs]`, y `[rows, outputs]`; `inputs` is above 0.
pub(crate) fn product(y: &mut [f32], x: &[f32], w: &[f32], inputs: usize) {
    let (rows, outputs) = (x.len() / inputs, w.len() / inputs);
    assert!(available() && x.len() == rows * inputs && y.len() == rows * outputs, "operands of a product");
    let blocks: Vec<Block> = x.chunks(BLOCK_ROWS * inputs).map(|x| Block::new(x, inputs)).collect();
    let dst = Destination(y.as_mut_ptr());
    w.par_chunks(TASK_OUTPUTS * inputs).enumerate().for_each(|(task, w)| {
        let mut sums = [[0.0; BLOCK_ROWS]; TASK_OUTPUTS];
        for (at, block) in blocks.iter().enumerate() {
            // SAFETY: the processor has the features, as asserted.
            unsafe { block.product(&mut sums, w, inputs) };
            for row in 0..block.rows {
                let first = (at * BLOCK_ROWS + row) * outputs + task * TASK_OUTPUTS;
                for (output, sums) in sums[..w.len() / inputs].iter().enumerate() {
                    // SAFETY: within y, and this output of any row belongs to this task alone.
                    unsafe { dst.put(first + output, sums[row]) };
                }
            }
        }
    });
}

/// Where the tasks write, each to columns of its own.
struct Destination(*mut f32);

// SAFETY: the tasks of a product write to disjoint columns, and it ends before the slice is used again.
unsafe impl Send for Destination {}
// SAFETY: as above.
unsafe impl Sync for Destination {}

impl Destination {
    /// # Safety
    /// The index is within the slice, and no other thread accesses it.
    unsafe fn put(&self, index: usize, value: f32) {
        // SAFETY: as the caller promises.
        unsafe { *self.0.add(index) = value };
    }
}

/// Some rows of x as lanes: `[inputs, lanes]`, zero where there are more lanes than rows.
struct Block {
    lanes: Vec<f32>,
    rows: usize,
}

impl Block {
    fn new(x: &[f32], inputs: usize) -> Self {
        let rows = x.len() / inputs;
        let width = if rows <= HALF { HALF } else { rows.next_multiple_of(VECTOR) };
        let mut lanes = vec![0.0; inputs * width];
        // A few inputs at a time, so that what is written stays in the first-level cache.
        for (block, lanes) in lanes.chunks_mut(VECTOR * width).enumerate() {
            for (row, x) in x.chunks_exact(inputs).enumerate() {
                let lanes = lanes.chunks_exact_mut(width).zip(&x[block * VECTOR..]);
                lanes.for_each(|(lanes, x)| lanes[row] = *x);
            }
        }
        Self { lanes, rows }
    }

    /// `sums[output][row]` for some rows of the weight.
    #[target_feature(enable = "avx512f,avx2,fma")]
    fn product(&self, sums: &mut [[f32; BLOCK_ROWS]], w: &[f32], inputs: usize) {
        for (sums, w) in sums.chunks_mut(TILE_OUTPUTS).zip(w.chunks(TILE_OUTPUTS * inputs)) {
            if w.len() == TILE_OUTPUTS * inputs {
                self.tile::<TILE_OUTPUTS>(sums, w, inputs);
                continue;
            }
            for (sums, w) in sums.chunks_mut(1).zip(w.chunks_exact(inputs)) {
                self.tile::<1>(sums, w, inputs);
            }
        }
    }

    #[target_feature(enable = "avx512f,avx2,fma")]
    fn tile<const OUTPUTS: usize>(&self, sums: &mut [[f32; BLOCK_ROWS]], w: &[f32], inputs: usize) {
        match self.rows.div_ceil(HALF) {
            0 | 1 => half_vectors::<OUTPUTS, 1>(sums, &self.lanes, w, inputs),
            2 => vectors::<OUTPUTS, 1>(sums, &self.lanes, w, inputs),
            3 | 4 => vectors::<OUTPUTS, 2>(sums, &self.lanes, w, inputs),
            _ => vectors::<OUTPUTS, VECTORS_MAX>(sums, &self.lanes, w, inputs),
        }
    }
}

/// Defines the products of `OUTPUTS` rows of the weight with the lanes of `VECTORS` vectors of some width.
macro_rules! define_tile {
    ($name:ident, $width:expr, $zero:ident, $load:ident, $splat:ident, $multiply_add:ident, $store:ident) => {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn $name<const OUTPUTS: usize, const VECTORS: usize>(
            out: &mut [[f32; BLOCK_ROWS]],
            lanes: &[f32],
            w: &[f32],
            inputs: usize,
        ) {
            assert!(lanes.len() == inputs * VECTORS * $width && VECTORS * $width <= BLOCK_ROWS);
            assert!(w.len() == inputs * OUTPUTS && out.len() >= OUTPUTS);
            let mut sums = [[$zero(); VECTORS]; OUTPUTS];
            for at in 0..inputs {
                // SAFETY: both slices are as long as asserted.
                unsafe {
                    let mut values = [$zero(); VECTORS];
                    for (vector, value) in values.iter_mut().enumerate() {
                        *value = $load(lanes.as_ptr().add((at * VECTORS + vector) * $width));
                    }
                    for (output, sums) in sums.iter_mut().enumerate() {
                        let factor = $splat(*w.as_ptr().add(output * inputs + at));
                        for (sum, value) in sums.iter_mut().zip(values) {
                            *sum = $multiply_add(factor, value, *sum);
                        }
                    }
                }
            }
            for (out, sums) in out.iter_mut().zip(sums) {
                for (vector, sum) in sums.into_iter().enumerate() {
                    // SAFETY: the vectors fit into the block, as asserted.
                    unsafe { $store(out.as_mut_ptr().add(vector * $width), sum) };
                }
            }
        }
    };
}

define_tile!(vectors, VECTOR, _mm512_setzero_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps);
define_tile!(half_vectors, HALF, _mm256_setzero_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps);
