use super::{
    Into,
    job::Scale,
    kernel::{Kernel, TILE_VALUES_MAX},
};
use crate::{mat::MatMut, scratch, vectorized::vectorized};

/// Where a task puts its tiles: some rows of the destination.
///
/// Where neighbours of a row are far from each other in memory, since the destination is transposed, tiles are gathered
/// first, so that memory is written in long runs.
pub(super) struct Output<'a> {
    dst: &'a MatMut<'a>,
    scale: Scale,
    first_row: usize,
    rows: usize,
    /// Distance between its columns, where it is in use.
    gathered_stride: usize,
    gathered: Vec<f32>,
}

impl<'a> Output<'a> {
    /// # Safety
    /// Nothing else accesses what is put while this lives, and the rows are inside the destination.
    pub(super) unsafe fn new<K: Kernel>(dst: &'a MatMut<'a>, scale: Scale, first_row: usize, rows: usize) -> Self {
        let gathered_stride = rows.next_multiple_of(K::ROWS);
        let gathered = if dst.col_stride == 1 { Vec::new() } else { scratch::take(K::COLS * gathered_stride) };
        Self { dst, scale, first_row, rows, gathered_stride, gathered }
    }

    /// Takes a tile whose first row is `row`, counted from the task's first.
    pub(super) fn put<K: Kernel>(&mut self, row: usize, col: usize, cols: usize, sums: &[f32; TILE_VALUES_MAX]) {
        if !self.gathered.is_empty() {
            return transpose::<K>(&mut self.gathered[row..], self.gathered_stride, cols, sums);
        }
        for (at, sums) in sums.chunks_exact(K::COLS).take(K::ROWS.min(self.rows - row)).enumerate() {
            // SAFETY: inside the destination, whose columns are neighbours, and nothing else accesses it: see `new`.
            let to = unsafe { std::slice::from_raw_parts_mut(self.dst.at(self.first_row + row + at, col), cols) };
            store(to, &sums[..cols], self.scale.into == Into::Add, self.scale.factor);
        }
    }

    /// Ends a panel of this column and those after it.
    pub(super) fn end_panel(&mut self, col: usize, cols: usize) {
        if self.gathered.is_empty() {
            return;
        }
        for (at, sums) in self.gathered.chunks_exact(self.gathered_stride).take(cols).enumerate() {
            // SAFETY: inside the destination, whose rows are neighbours, and nothing else accesses it: see `new`.
            let to = unsafe { std::slice::from_raw_parts_mut(self.dst.at(self.first_row, col + at), self.rows) };
            store(to, &sums[..self.rows], self.scale.into == Into::Add, self.scale.factor);
        }
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        if !self.gathered.is_empty() {
            scratch::give(std::mem::take(&mut self.gathered));
        }
    }
}

vectorized! {
    fn store(to: &mut [f32], sums: &[f32], add: bool, factor: f32) {
        if add {
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to += factor * sum);
        } else {
            to.iter_mut().zip(sums).for_each(|(to, sum)| *to = factor * sum);
        }
    }
}

/// Puts the columns of a tile one after another.
fn transpose<K: Kernel>(to: &mut [f32], stride: usize, cols: usize, sums: &[f32; TILE_VALUES_MAX]) {
    for (col, to) in to.chunks_mut(stride).take(cols).enumerate() {
        for (to, sums) in to[..K::ROWS].iter_mut().zip(sums.chunks_exact(K::COLS)) {
            *to = sums[col];
        }
    }
}
