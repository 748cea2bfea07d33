use std::borrow::Cow;

use rayon::prelude::*;

use super::{
    Threads,
    kernel::{Kernel, Rows},
};
use crate::{element::Element, mat::Mat, scratch};

/// The left operand: rows along the inner dimension, in whole steps of the kernel.
pub(super) struct Left<'a, K: Kernel> {
    data: Cow<'a, [K::E]>,
    row_stride: usize,
}

impl<'a, K: Kernel> Left<'a, K> {
    pub(super) fn new<L: Element>(mat: Mat<'a, L>, threads: Threads) -> Self {
        let direct = mat.col_stride == 1 && mat.cols.is_multiple_of(K::STEP * K::STEPS_MULTIPLE);
        if let Some(data) = K::E::of_slice(mat.data).filter(|_| direct) {
            return Self { data: Cow::Borrowed(data), row_stride: mat.row_stride };
        }
        let row_stride = mat.cols.next_multiple_of(K::STEP * K::STEPS_MULTIPLE);
        let mut data: Vec<K::E> = scratch::take(mat.rows * row_stride);
        let fill = |(row, to): (usize, &mut [K::E])| {
            let (to, rest) = to.split_at_mut(mat.cols);
            rest.fill(K::E::default());
            copy_row(to, mat, row);
        };
        match threads {
            Threads::Pool => data.par_chunks_exact_mut(row_stride).enumerate().with_min_len(8).for_each(fill),
            Threads::One => data.chunks_exact_mut(row_stride).enumerate().for_each(fill),
        }
        Self { data: Cow::Owned(data), row_stride }
    }

    /// Some rows from some place of the inner dimension on.
    pub(super) fn rows(&self, row: usize, count: usize, first: usize) -> Rows<K::E> {
        Rows { first: self.data[row * self.row_stride + first..].as_ptr(), stride: self.row_stride, count }
    }
}

impl<K: Kernel> Drop for Left<'_, K> {
    fn drop(&mut self) {
        if let Cow::Owned(data) = std::mem::take(&mut self.data) {
            scratch::give(data);
        }
    }
}

fn copy_row<E: Element, T: Element>(to: &mut [E], mat: Mat<'_, T>, row: usize) {
    let from = &mat.data[row * mat.row_stride..];
    if mat.col_stride == 1 {
        return crate::convert::convert_task(to, &from[..to.len()]);
    }
    to.iter_mut().zip(from.iter().step_by(mat.col_stride)).for_each(|(to, from)| *to = E::from_f32(from.to_f32()));
}
