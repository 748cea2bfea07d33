use super::kernel::{Kernel, Rows};
use crate::{element::Element, mat::Mat, scratch};

/// Columns that are transposed at once, so that what is read and written stays in the first-level cache.
const TRANSPOSED_COLS: usize = 16;
/// Rows at a multiple of this distance compete for few places in a cache.
const CONFLICT_BYTES: usize = 1024;
const CACHE_LINE_BYTES: usize = 64;

/// Some rows of the left operand, along a stretch of the inner dimension, in whole steps of the kernel.
pub(super) struct Block<K: Kernel> {
    first: *const K::E,
    row_stride: usize,
    /// Where they had to be copied.
    copy: Vec<K::E>,
}

// SAFETY: it reads what its owner borrows or what it holds itself, and writes nothing once it is made.
unsafe impl<K: Kernel> Send for Block<K> {}
// SAFETY: as above.
unsafe impl<K: Kernel> Sync for Block<K> {}

impl<K: Kernel> Block<K> {
    /// `mat` has these rows and this stretch alone. `reused` says that each row is read again and again.
    pub(super) fn new<L: Element>(mat: Mat<'_, L>, reused: bool) -> Self {
        let conflicts = reused && (mat.row_stride * size_of::<L>()).is_multiple_of(CONFLICT_BYTES);
        let direct = mat.col_stride == 1 && mat.cols.is_multiple_of(K::STEP * K::STEPS_MULTIPLE) && !conflicts;
        if let Some(data) = K::E::of_slice(mat.data).filter(|_| direct) {
            return Self { first: data.as_ptr(), row_stride: mat.row_stride, copy: Vec::new() };
        }
        let line = CACHE_LINE_BYTES / size_of::<K::E>();
        let len = mat.cols.next_multiple_of(K::STEP * K::STEPS_MULTIPLE);
        // An odd number of lines, so that rows do not conflict.
        let row_stride = (len.div_ceil(line) | 1) * line;
        let mut copy = scratch::take(mat.rows * row_stride);
        for row in copy.chunks_exact_mut(row_stride).take(mat.rows) {
            row[mat.cols..len].fill(K::E::default());
        }
        if mat.col_stride == 1 {
            for (to, row) in copy.chunks_exact_mut(row_stride).zip(0..mat.rows) {
                crate::convert::convert_task(&mut to[..mat.cols], &mat.data[row * mat.row_stride..][..mat.cols]);
            }
        } else {
            transpose(&mut copy, row_stride, mat);
        }
        Self { first: copy.as_ptr(), row_stride, copy }
    }

    /// Some of the rows.
    pub(super) fn rows(&self, row: usize, count: usize) -> Rows<K::E> {
        Rows { first: self.first.wrapping_add(row * self.row_stride), stride: self.row_stride, count }
    }
}

impl<K: Kernel> Drop for Block<K> {
    fn drop(&mut self) {
        if !self.copy.is_empty() {
            scratch::give(std::mem::take(&mut self.copy));
        }
    }
}

fn transpose<E: Element, L: Element>(to: &mut [E], row_stride: usize, mat: Mat<'_, L>) {
    for first in (0..mat.cols).step_by(TRANSPOSED_COLS) {
        for col in first..mat.cols.min(first + TRANSPOSED_COLS) {
            let from = mat.data[col * mat.col_stride..].iter().step_by(mat.row_stride).take(mat.rows);
            for (row, value) in from.enumerate() {
                to[row * row_stride + col] = E::from_f32(value.to_f32());
            }
        }
    }
}
