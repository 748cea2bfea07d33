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
mod panels;

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use self::{
    kernel::{Kernel, Portable, TILE_VALUES_MAX},
    operand::Left,
    panels::Panels,
};
use crate::{
    element::{Element, Precision},
    isa::{self, Isa},
    mat::{Mat, MatMut},
};

/// Inner dimension per pass: longer sums are cut here.
const DEPTH: usize = 4096;
/// Rows of the left operand per task: they stay in the second-level cache from panel to panel.
const TASK_ROWS: usize = 64;
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
    if preparation(&lhs, &rhs) <= preparation(&rhs, &lhs) {
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

/// What it costs to bring operands into order, both `[…, depth]`: copying one to rows is slower than packing it, and packing
/// is fastest along a panel.
fn preparation<L, R>(left: &Mat<'_, L>, right: &Mat<'_, R>) -> usize {
    let copied = if left.col_stride == 1 { 0 } else { 4 * left.rows };
    let packed = if right.row_stride == 1 { right.rows } else { 2 * right.rows };
    copied + packed
}

/// `dst (+)= factor · left · rightᵀ`
fn run<K: Kernel, L: Element, R: Element>(
    dst: &MatMut<'_>,
    scale: Scale,
    left: Mat<'_, L>,
    right: Mat<'_, R>,
    threads: Threads,
) {
    let (left, depth) = (Left::<K>::new(left, threads), right.cols);
    for first in (0..depth).step_by(DEPTH) {
        let length = DEPTH.min(depth - first);
        let into = if first == 0 { scale.into } else { Into::Add };
        let panels = Panels::<K>::new(right, first, length, threads);
        let pass = Pass::<K> { dst, scale: Scale { into, ..scale }, left: &left, panels: &panels, first };
        pass.run(threads);
    }
}

/// One stretch of the inner dimension.
struct Pass<'a, K: Kernel> {
    dst: &'a MatMut<'a>,
    scale: Scale,
    left: &'a Left<'a, K>,
    panels: &'a Panels<K>,
    first: usize,
}

impl<K: Kernel> Pass<'_, K> {
    fn run(&self, threads: Threads) {
        let (down, panels) = (self.dst.rows.div_ceil(TASK_ROWS), self.dst.cols.div_ceil(K::COLS));
        let across = TASKS.div_ceil(down).min(panels);
        let task = |index: usize| {
            let (row, part) = (index / across * TASK_ROWS, index % across);
            self.task(row, part * panels / across..(part + 1) * panels / across);
        };
        match threads {
            Threads::Pool => (0..down * across).into_par_iter().for_each(task),
            Threads::One => (0..down * across).for_each(task),
        }
    }

    fn task(&self, first_row: usize, panels: std::ops::Range<usize>) {
        let last_row = (first_row + TASK_ROWS).min(self.dst.rows);
        let mut sums = [0.0; TILE_VALUES_MAX];
        // SAFETY: the kernel was chosen for this processor.
        let mut session = unsafe { K::start() };
        for panel in panels {
            for row in (first_row..last_row).step_by(K::ROWS) {
                let rows = K::ROWS.min(last_row - row);
                let cols = K::COLS.min(self.dst.cols - panel * K::COLS);
                let (left, panel_values) = (self.left.rows(row, rows, self.first), self.panels.panel(panel));
                // SAFETY: as above; rows and panel hold the stretch of the inner dimension.
                unsafe { K::tile(&mut session, left, cols, panel_values, self.panels.steps, &mut sums) };
                // SAFETY: each tile belongs to one task.
                unsafe { self.store(row, rows, panel * K::COLS, cols, &sums) };
            }
        }
    }

    /// # Safety
    /// Nothing else accesses these elements of the destination.
    unsafe fn store(&self, row: usize, rows: usize, col: usize, cols: usize, sums: &[f32; TILE_VALUES_MAX]) {
        let Scale { into, factor } = self.scale;
        let put = |at_row: usize, at_col: usize| {
            let sum = factor * sums[at_row * K::COLS + at_col];
            // SAFETY: inside the destination, and as the caller promises.
            unsafe {
                let at = self.dst.at(row + at_row, col + at_col);
                *at = if into == Into::Add { *at + sum } else { sum };
            }
        };
        if self.dst.col_stride == 1 {
            (0..rows).for_each(|at_row| (0..cols).for_each(|at_col| put(at_row, at_col)));
        } else {
            (0..cols).for_each(|at_col| (0..rows).for_each(|at_row| put(at_row, at_col)));
        }
    }
}
