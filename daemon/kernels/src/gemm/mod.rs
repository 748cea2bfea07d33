//! Matrix products, in the manner of BLIS (Van Zee and van de Geijn, 2015).
//!
//! One operand, the *right* one, is packed into panels that are as wide as a tile of the result; of the other, the *left*
//! one, rows are read as they lie. Either operand can be either: `c = a · b` is `cᵀ = bᵀ · aᵀ`. So a weight that is multiplied
//! with few rows is read once, in place, whereas the rows are packed.
//!
//! Each element is summed along the inner dimension in order, in stretches of [`DEPTH`], whichever operand is packed, and
//! whatever is computed beside it: a row's result does not depend on the other rows, nor on the number of threads.

mod kernel;
mod operand;
mod output;
mod panels;

#[cfg(test)]
mod tests;

use std::ops::Range;

use rayon::prelude::*;

use self::{
    kernel::{Kernel, Portable, TILE_VALUES_MAX},
    operand::Block,
    output::Output,
    panels::Panels,
};
use crate::{
    element::{Element, Precision},
    isa::{self, Isa},
    mat::{Mat, MatMut},
};

/// Inner dimension per pass: a panel, and what a task reads of the left operand, stay in the second-level cache. Longer sums
/// are cut here.
const DEPTH: usize = 2048;
/// Rows of the left operand per task: whole tiles of every kernel.
const TASK_ROWS: usize = 96;
/// Where the rows of a task meet as many panels, it may copy them to have them in better order.
const PANELS_TO_COPY_FOR: usize = 4;
/// Tasks that a product is cut into where it has that many tiles.
const TASKS: usize = 16;

/// What a product does to the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// Overwrites it, whatever it holds.
    Set,
    /// Adds to it.
    Add,
}

/// Where a product runs. The result is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// On the threads of the current rayon pool.
    Pool,
    /// On the calling thread, which is one of several at work.
    One,
}

/// `dst (+)= factor · lhs · rhs`. In [`Precision::Bf16`] operands are rounded to bf16, where the processor multiplies those;
/// sums are f32.
///
/// # Panics
/// Where dimensions do not agree: a bug of the caller.
pub fn gemm<L: Element, R: Element>(
    dst: MatMut<'_>,
    into: Into,
    factor: f32,
    lhs: Mat<'_, L>,
    rhs: Mat<'_, R>,
    precision: Precision,
    threads: Threads,
) {
    assert!(lhs.cols == rhs.rows && dst.rows == lhs.rows && dst.cols == rhs.cols, "dimensions of a product");
    let scale = Scale { into, factor };
    match (isa::current(), precision) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Amx, Precision::Bf16) => product::<kernel::Amx, L, R>(dst, scale, lhs, rhs, threads),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512Bf16, Precision::Bf16) => {
            product::<kernel::Avx512Bf16, L, R>(dst, scale, lhs, rhs, threads);
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx, _) => product::<kernel::Avx512, L, R>(dst, scale, lhs, rhs, threads),
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, _) => product::<kernel::Avx2, L, R>(dst, scale, lhs, rhs, threads),
        _ => product::<Portable, L, R>(dst, scale, lhs, rhs, threads),
    }
}

/// What is done with a sum.
#[derive(Clone, Copy)]
struct Scale {
    into: Into,
    factor: f32,
}

fn product<K: Kernel, L: Element, R: Element>(
    dst: MatMut<'_>,
    scale: Scale,
    lhs: Mat<'_, L>,
    rhs: Mat<'_, R>,
    threads: Threads,
) {
    if dst.rows == 0 || dst.cols == 0 {
        return;
    }
    if lhs.cols == 0 {
        return clear(&dst, scale.into);
    }
    let rhs = rhs.t();
    let across_rows = dst.col_stride != 1;
    if cost(&lhs, &rhs, across_rows) <= cost(&rhs, &lhs, !across_rows) {
        run::<K, L, R>(&dst, scale, lhs, rhs, threads);
    } else {
        run::<K, R, L>(&dst.t(), scale, rhs, lhs, threads);
    }
}

fn clear(dst: &MatMut<'_>, into: Into) {
    for row in 0..if into == Into::Set { dst.rows } else { 0 } {
        for col in 0..dst.cols {
            // SAFETY: inside the destination, which nothing else accesses.
            unsafe { *dst.at(row, col) = 0.0 };
        }
    }
}

/// What it costs, beside multiplying, to have these operands on these sides, in values of one column of both `[…, depth]`:
/// copying one to rows is slower than packing it, packing is fastest along a panel, and results that lie across rows are
/// written a second time.
fn cost<L, R>(left: &Mat<'_, L>, right: &Mat<'_, R>, across_rows: bool) -> usize {
    let copied = if left.col_stride == 1 { 0 } else { 4 * left.rows };
    let packed = if right.row_stride == 1 { right.rows } else { 2 * right.rows };
    let gathered = if across_rows { left.rows * right.rows / left.cols } else { 0 };
    copied + packed + gathered
}

/// `dst (+)= factor · left · rightᵀ`
fn run<K: Kernel, L: Element, R: Element>(
    dst: &MatMut<'_>,
    scale: Scale,
    left: Mat<'_, L>,
    right: Mat<'_, R>,
    threads: Threads,
) {
    if right.rows <= K::Narrow::COLS {
        run_passes::<K::Narrow, L, R>(dst, scale, left, right, threads);
    } else {
        run_passes::<K, L, R>(dst, scale, left, right, threads);
    }
}

fn run_passes<K: Kernel, L: Element, R: Element>(
    dst: &MatMut<'_>,
    scale: Scale,
    left: Mat<'_, L>,
    right: Mat<'_, R>,
    threads: Threads,
) {
    let depth = right.cols;
    for first in (0..depth).step_by(DEPTH) {
        let length = DEPTH.min(depth - first);
        let into = if first == 0 { scale.into } else { Into::Add };
        let panels = Panels::<K>::new(right, first, length, threads);
        let pass = Pass::<K, L> { dst, scale: Scale { into, ..scale }, left, panels: &panels, first, length };
        pass.run(threads);
    }
}

/// One stretch of the inner dimension.
struct Pass<'a, K: Kernel, L> {
    dst: &'a MatMut<'a>,
    scale: Scale,
    left: Mat<'a, L>,
    panels: &'a Panels<K>,
    first: usize,
    length: usize,
}

impl<K: Kernel, L: Element> Pass<'_, K, L> {
    fn run(&self, threads: Threads) {
        let (down, panels) = (self.dst.rows.div_ceil(TASK_ROWS), self.dst.cols.div_ceil(K::COLS));
        let across = TASKS.div_ceil(down).min(panels);
        // Few rows are brought into order once for all tasks.
        let shared = (down == 1).then(|| self.block(0, panels));
        let task = |index: usize| {
            let (row, part) = (index / across * TASK_ROWS, index % across);
            let panels = part * panels / across..(part + 1) * panels / across;
            match &shared {
                Some(block) => self.task(row, panels, block),
                None => self.task(row, panels.clone(), &self.block(row, panels.len())),
            }
        };
        match threads {
            Threads::Pool => (0..down * across).into_par_iter().for_each(task),
            Threads::One => (0..down * across).for_each(task),
        }
    }

    /// The rows of a task, which are to meet so many panels.
    fn block(&self, first_row: usize, panels: usize) -> Block<K> {
        let rows = first_row..self.dst.rows.min(first_row + TASK_ROWS);
        let part = self.left.part(rows, self.first..self.first + self.length);
        Block::new(part, panels >= PANELS_TO_COPY_FOR)
    }

    fn task(&self, first_row: usize, panels: Range<usize>, block: &Block<K>) {
        let rows = TASK_ROWS.min(self.dst.rows - first_row);
        let mut sums = [0.0; TILE_VALUES_MAX];
        // SAFETY: the kernel was chosen for this processor.
        let mut session = unsafe { K::start() };
        // SAFETY: these rows of these panels belong to this task.
        let mut output = unsafe { Output::new::<K>(self.dst, self.scale, first_row, rows) };
        for panel in panels {
            let (col, values) = (panel * K::COLS, self.panels.panel(panel));
            let cols = K::COLS.min(self.dst.cols - col);
            for row in (0..rows).step_by(K::ROWS) {
                let left = block.rows(row, K::ROWS.min(rows - row));
                // SAFETY: as above; rows and panel hold the stretch of the inner dimension.
                unsafe { K::tile(&mut session, left, cols, values, self.panels.steps, &mut sums) };
                output.put::<K>(row, col, cols, &sums);
            }
            output.end_panel(col, cols);
        }
    }
}
