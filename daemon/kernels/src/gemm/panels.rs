use rayon::prelude::*;

use super::{Threads, kernel::Kernel};
use crate::{convert::convert_task, element::Element, mat::Mat, scratch, vectorized::vectorized, weight_bytes::Part};

/// Steps of the inner dimension that are packed at once, so that what is written stays in the first-level cache.
const BLOCK_STEPS: usize = 32;
/// Values that are converted at once: a block of a row, or the rows of a step.
const CONVERTED_MAX: usize = 64;
/// Vectors and tiles are read fastest where they begin here.
const ALIGNMENT_BYTES: usize = 64;

/// The right operand in panels of as many rows as a tile has columns: `[panel, step, row, element of the step]`. Steps beyond
/// the inner dimension are zero; rows that a last panel has over are anything, and so are their sums.
pub(super) struct Panels<K: Kernel> {
    storage: Storage<K::E>,
    pub(super) count: usize,
    /// Steps of the kernel along the inner dimension.
    pub(super) steps: usize,
}

enum Storage<E: Element> {
    /// For one product: a thread's buffer, and where panels start in it.
    Scratch(Vec<E>, usize),
    /// For every product with a weight.
    Kept(Part<E>),
}

/// How many panels there are of a matrix of so many rows, and how many steps and values each has.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) count: usize,
    pub(super) steps: usize,
    pub(super) panel_len: usize,
}

impl Layout {
    pub(super) fn new<K: Kernel>(rows: usize, length: usize) -> Self {
        let steps = length.div_ceil(K::STEP).next_multiple_of(K::STEPS_MULTIPLE);
        Self { count: rows.div_ceil(K::COLS), steps, panel_len: steps * K::COLS * K::STEP }
    }

    pub(super) fn len(self) -> usize {
        self.count * self.panel_len
    }
}

impl<K: Kernel> Panels<K> {
    /// Packs `length` columns of a matrix from `first` on.
    pub(super) fn new<R: Element>(mat: Mat<'_, R>, first: usize, length: usize, threads: Threads) -> Self {
        let layout = Layout::new::<K>(mat.rows, length);
        let mut data: Vec<K::E> = scratch::take(layout.len() + ALIGNMENT_BYTES / size_of::<K::E>());
        let start = data.as_ptr().align_offset(ALIGNMENT_BYTES);
        fill::<K, R>(&mut data[start..start + layout.len()], layout, mat, first, length, threads);
        Self { storage: Storage::Scratch(data, start), count: layout.count, steps: layout.steps }
    }

    /// Panels that [`fill`] filled.
    pub(super) fn kept(part: Part<K::E>, layout: Layout) -> Self {
        Self { storage: Storage::Kept(part), count: layout.count, steps: layout.steps }
    }

    pub(super) fn panel(&self, index: usize) -> *const K::E {
        let len = self.steps * K::COLS * K::STEP;
        let panels = match &self.storage {
            Storage::Scratch(data, start) => &data[*start..],
            Storage::Kept(part) => part.as_ref(),
        };
        panels[index * len..][..len].as_ptr()
    }
}

impl<K: Kernel> Drop for Panels<K> {
    fn drop(&mut self) {
        if let Storage::Scratch(data, _) = &mut self.storage {
            scratch::give(std::mem::take(data));
        }
    }
}

/// Packs `length` columns of a matrix from `first` on.
pub(super) fn fill<K: Kernel, R: Element>(
    panels: &mut [K::E],
    layout: Layout,
    mat: Mat<'_, R>,
    first: usize,
    length: usize,
    threads: Threads,
) {
    let fill = |(index, panel): (usize, &mut [K::E])| {
        let from = index * K::COLS;
        let rows = K::COLS.min(mat.rows - from);
        panel[length / K::STEP * K::STEP * K::COLS..].fill(K::E::default());
        let source = Source { data: &mat.data[from * mat.row_stride + first * mat.col_stride..], rows, length };
        match (mat.row_stride, mat.col_stride) {
            (1, stride) => source.pack_across(panel, K::COLS, K::STEP, stride),
            (stride, 1) => source.pack_along(panel, K::COLS, K::STEP, stride),
            (row_stride, col_stride) => source.pack(panel, K::COLS, K::STEP, row_stride, col_stride),
        }
    };
    match threads {
        Threads::Pool => panels.par_chunks_exact_mut(layout.panel_len).enumerate().for_each(fill),
        Threads::One => panels.chunks_exact_mut(layout.panel_len).enumerate().for_each(fill),
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
        let mut buffers = [[E::default(); CONVERTED_MAX]; 2];
        let [first, second] = &mut buffers;
        for (at, packed) in panel.chunks_exact_mut(width * step).enumerate() {
            let col = |of_step: usize| &self.data[(at * step + of_step) * col_stride..][..self.rows];
            match (step, self.length.saturating_sub(at * step)) {
                (_, 0) => return,
                (1, _) => convert_task(&mut packed[..self.rows], col(0)),
                (2, 2..) => interleave(packed, converted(col(0), first), converted(col(1), second)),
                (_, left) => {
                    for of_step in 0..step.min(left) {
                        let packed = packed.iter_mut().skip(of_step).step_by(step);
                        packed.zip(converted(col(of_step), first)).for_each(|(packed, value)| *packed = *value);
                    }
                }
            }
        }
    }

    /// Columns are neighbours in memory.
    fn pack_along<E: Element>(&self, panel: &mut [E], width: usize, step: usize, row_stride: usize) {
        let mut buffer = [E::default(); CONVERTED_MAX];
        let block_len = BLOCK_STEPS * step;
        for first in (0..self.length).step_by(block_len) {
            let packed = &mut panel[first * width..];
            let count = block_len.min(self.length - first);
            let mut row = 0;
            while row < self.rows {
                let at = |row: usize| &self.data[row * row_stride + first..][..count];
                let packed = &mut packed[row * step..];
                // Several rows at once, so that what is written at a step are neighbours.
                if step == 2 && count.is_multiple_of(2) && self.rows - row >= ROWS_TOGETHER {
                    let mut buffers = [[E::default(); CONVERTED_MAX]; ROWS_TOGETHER];
                    let mut buffers = buffers.iter_mut().enumerate();
                    let rows = [(); ROWS_TOGETHER]
                        .map(|()| buffers.next().map_or(&[][..], |(of, buffer)| converted(at(row + of), buffer)));
                    spread_rows(packed, rows, width);
                    row += ROWS_TOGETHER;
                } else {
                    spread(packed, converted(at(row), &mut buffer), width, step);
                    row += 1;
                }
            }
        }
    }
}

/// The values as another type: at most as many as the buffer has room for.
fn converted<'a, R: Element, E: Element>(values: &'a [R], buffer: &'a mut [E; CONVERTED_MAX]) -> &'a [E] {
    if let Some(values) = E::of_slice(values) {
        return values;
    }
    let buffer = &mut buffer[..values.len()];
    convert_task(buffer, values);
    buffer
}

vectorized! {
    /// `first[0], second[0], first[1], second[1], …`
    fn interleave<E: Element>(to: &mut [E], first: &[E], second: &[E]) {
        for (to, (first, second)) in to.as_chunks_mut::<2>().0.iter_mut().zip(first.iter().zip(second)) {
            *to = [*first, *second];
        }
    }
}

/// Rows whose pairs are put in their places at once.
const ROWS_TOGETHER: usize = 8;

/// Puts the pairs of each step of some rows at the beginning of every stretch of `width` pairs.
#[inline(always)]
fn spread_rows<E: Element>(to: &mut [E], rows: [&[E]; ROWS_TOGETHER], width: usize) {
    let steps = rows[0].len() / 2;
    let rows = rows.map(|row| &row.as_chunks::<2>().0[..steps]);
    let to = to.as_chunks_mut::<2>().0.chunks_mut(width).take(steps);
    for (step, to) in to.enumerate() {
        if let Some(to) = to.first_chunk_mut::<ROWS_TOGETHER>() {
            for (to, row) in to.iter_mut().zip(rows) {
                *to = row[step];
            }
        }
    }
}

/// Puts a step's values at the beginning of every stretch of `width` steps.
#[inline(always)]
fn spread<E: Element>(to: &mut [E], values: &[E], width: usize, step: usize) {
    let stretches = to.chunks_mut(width * step);
    // Lengths that are known, since copying a few values by a call would take longer than everything else.
    if step == 1 {
        return stretches.zip(values).for_each(|(to, value)| to[0] = *value);
    }
    if step == 2 && values.len().is_multiple_of(2) {
        return stretches.zip(values.as_chunks::<2>().0).for_each(|(to, pair)| to[..2].copy_from_slice(pair));
    }
    for (to, values) in stretches.zip(values.chunks(step)) {
        to[..values.len()].copy_from_slice(values);
    }
}
