use rayon::prelude::*;

use super::{Threads, kernel::Kernel};
use crate::{element::Element, isa::vectorized, mat::Mat, scratch};

/// Steps of the inner dimension that are packed at once, so that what is written stays in the first-level cache.
const BLOCK_STEPS: usize = 16;

/// The right operand in panels of as many rows as a tile has columns: `[panel, step, row, element of the step]`. What a last
/// panel has over is zero.
pub(super) struct Panels<K: Kernel> {
    data: Vec<K::E>,
    /// Steps of the kernel along the inner dimension.
    pub(super) steps: usize,
}

impl<K: Kernel> Panels<K> {
    /// Packs `length` columns of a matrix from `first` on.
    pub(super) fn new<R: Element>(mat: Mat<'_, R>, first: usize, length: usize, threads: Threads) -> Self {
        let steps = length.div_ceil(K::STEP).next_multiple_of(K::STEPS_MULTIPLE);
        let panel_len = steps * K::COLS * K::STEP;
        let mut data: Vec<K::E> = scratch::take(mat.rows.div_ceil(K::COLS) * panel_len);
        let fill = |(index, panel): (usize, &mut [K::E])| {
            let from = index * K::COLS;
            let rows = K::COLS.min(mat.rows - from);
            if rows < K::COLS || steps * K::STEP > length {
                panel.fill(K::E::default());
            }
            let source = Source { data: &mat.data[from * mat.row_stride + first * mat.col_stride..], rows, length };
            match (mat.row_stride, mat.col_stride) {
                (1, stride) => source.pack_across(panel, K::COLS, K::STEP, stride),
                (stride, 1) => source.pack_along(panel, K::COLS, K::STEP, stride),
                (row_stride, col_stride) => source.pack(panel, K::COLS, K::STEP, row_stride, col_stride),
            }
        };
        match threads {
            Threads::Pool => data.par_chunks_exact_mut(panel_len).enumerate().for_each(fill),
            Threads::One => data.chunks_exact_mut(panel_len).enumerate().for_each(fill),
        }
        Self { data, steps }
    }

    pub(super) fn panel(&self, index: usize) -> *const K::E {
        let len = self.steps * K::COLS * K::STEP;
        self.data[index * len..][..len].as_ptr()
    }
}

impl<K: Kernel> Drop for Panels<K> {
    fn drop(&mut self) {
        scratch::give(std::mem::take(&mut self.data));
    }
}

/// Some rows of a matrix, from their first column on.
#[derive(Clone, Copy)]
struct Source<'a, R> {
    data: &'a [R],
    rows: usize,
    length: usize,
}

impl<R: Element> Source<'_, R> {
    fn pack<E: Element>(&self, panel: &mut [E], width: usize, step: usize, row_stride: usize, col_stride: usize) {
        for col in 0..self.length {
            for row in 0..self.rows {
                let value = self.data[row * row_stride + col * col_stride].to_f32();
                panel[(col / step * width + row) * step + col % step] = E::from_f32(value);
            }
        }
    }

    /// Rows are neighbours in memory.
    fn pack_across<E: Element>(&self, panel: &mut [E], width: usize, step: usize, col_stride: usize) {
        for (at, packed) in panel.chunks_exact_mut(width * step).enumerate() {
            let col = |of_step: usize| &self.data[(at * step + of_step) * col_stride..][..self.rows];
            match (step, self.length - at * step) {
                (2, 2..) => interleave(packed, col(0), col(1)),
                (_, left) => {
                    for of_step in 0..step.min(left) {
                        let packed = packed.iter_mut().skip(of_step).step_by(step);
                        packed.zip(col(of_step)).for_each(|(packed, value)| *packed = E::from_f32(value.to_f32()));
                    }
                }
            }
        }
    }

    /// Columns are neighbours in memory.
    fn pack_along<E: Element>(&self, panel: &mut [E], width: usize, step: usize, row_stride: usize) {
        for (block, packed) in panel.chunks_mut(BLOCK_STEPS * width * step).enumerate() {
            let first = block * BLOCK_STEPS * step;
            let count = (BLOCK_STEPS * step).min(self.length - first);
            for row in 0..self.rows {
                let values = &self.data[row * row_stride + first..][..count];
                spread(&mut packed[row * step..], values, width, step);
            }
        }
    }
}

vectorized! {
    /// `first[0], second[0], first[1], second[1], …`
    fn interleave<R: Element, E: Element>(to: &mut [E], first: &[R], second: &[R]) {
        for (to, (first, second)) in to.as_chunks_mut::<2>().0.iter_mut().zip(first.iter().zip(second)) {
            *to = [E::from_f32(first.to_f32()), E::from_f32(second.to_f32())];
        }
    }
}

/// Puts a step's values at the beginning of every stretch of `width` steps.
#[inline(always)]
fn spread<R: Element, E: Element>(to: &mut [E], values: &[R], width: usize, step: usize) {
    let stretches = to.chunks_mut(width * step);
    if step == 2 && values.len().is_multiple_of(2) {
        for (to, pair) in stretches.zip(values.as_chunks::<2>().0) {
            to[..2].copy_from_slice(&[E::from_f32(pair[0].to_f32()), E::from_f32(pair[1].to_f32())]);
        }
        return;
    }
    for (to, values) in stretches.zip(values.chunks(step)) {
        to.iter_mut().zip(values).for_each(|(to, value)| *to = E::from_f32(value.to_f32()));
    }
}
