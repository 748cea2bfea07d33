//! Matrix products, in the manner of BLIS (Van Zee and van de Geijn, 2015).
//!
//! One operand, the *right* one, is packed into panels that are as wide as a tile of the result; of the other, the *left*
//! one, rows are read as they lie. Either operand can be either: `c = a · b` is `cᵀ = bᵀ · aᵀ`. So a weight that is multiplied
//! with few rows is read once, in place, whereas the rows are packed; unless the weight was packed once for all products.
//!
//! Each element is summed along the inner dimension in order, in stretches of [`DEPTH`], whichever operand is packed, and
//! whatever is computed beside it: a row's result does not depend on the other rows, nor on the number of threads.

mod kernel;
mod operand;
mod output;
mod panels;
mod prepacked;
mod shared;

#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

use rayon::prelude::*;

pub(crate) use self::prepacked::Prepacked;
pub use self::shared::Shared;
use self::{
    kernel::{Kernel, TILE_VALUES_MAX},
    operand::Block,
    output::Output,
    panels::Panels,
    shared::PanelsOnce,
};
use crate::{
    element::{Element, Precision},
    isa::Isa,
    mat::{Mat, MatMut},
};

/// Inner dimension per pass: a panel, and what a task reads of the left operand, stay in the second-level cache. Longer sums
/// are cut here.
const DEPTH: usize = 2048;
/// Rows of the left operand per task: whole tiles of every kernel.
const TASK_ROWS: usize = 96;
/// Where the rows of a task meet as many panels, it may copy them to have them in better order.
const PANELS_TO_COPY_FOR: usize = 4;
/// Products of at most so many multiply-adds are done before another thread has come to help.
const MULTIPLY_ADDS_ALONE: usize = 1 << 19;
/// Tasks that a product is cut into where it has that many tiles.
const TASKS: usize = 16;

/// Calls a function of a kernel with the one that is in use for a precision.
macro_rules! with_kernel {
    ($precision:expr, $function:ident, [$($element:ty),+], ($($arg:expr),+)) => {
        match ($crate::isa::current(), $precision) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Precision::Bf16) => $function::<kernel::Amx, $($element),+>($($arg),+),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512Bf16, Precision::Bf16) => $function::<kernel::Avx512Bf16, $($element),+>($($arg),+),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx, _) => $function::<kernel::Avx512, $($element),+>($($arg),+),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, _) => $function::<kernel::Avx2, $($element),+>($($arg),+),
            _ => $function::<kernel::Portable, $($element),+>($($arg),+),
        }
    };
}
use with_kernel;

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

/// A product: `dst (+)= factor · (lhs · rhs)`, and where there is a second pair of operands, that of their product and the
/// first's: what a second pass over the destination would add, as that of an adapter beside a weight.
pub(crate) struct Product<'a, L, R> {
    pub(crate) dst: MatMut<'a>,
    pub(crate) into: Into,
    pub(crate) factor: f32,
    pub(crate) lhs: &'a Shared<'a, L>,
    pub(crate) rhs: Mat<'a, R>,
    /// The transpose of `rhs`, packed.
    pub(crate) prepacked: Option<&'a Prepacked>,
    pub(crate) second: Option<Second<'a, L, R>>,
}

/// The second pair of operands of a product.
#[derive(Clone, Copy)]
pub(crate) struct Second<'a, L, R> {
    pub(crate) lhs: Mat<'a, L>,
    pub(crate) rhs: Mat<'a, R>,
    /// As that of a [`Product`].
    pub(crate) prepacked: Option<&'a Prepacked>,
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
    let lhs = &Shared::new(lhs, 1);
    gemm_all(vec![Product { dst, into, factor, lhs, rhs, prepacked: None, second: None }], precision, threads);
}

/// Several products, none of which reads what another writes, as if each were computed by [`gemm`]: threads wait for each
/// other once and not after each.
pub(crate) fn gemm_all<L: Element, R: Element>(
    products: Vec<Product<'_, L, R>>,
    precision: Precision,
    threads: Threads,
) {
    with_kernel!(precision, multiply, [L, R], (products, threads))
}

/// What is done with a sum.
#[derive(Clone, Copy)]
struct Scale {
    into: Into,
    factor: f32,
}

/// `dst (+)= factor · left · rightᵀ`
struct Job<'a, L, R> {
    dst: MatMut<'a>,
    scale: Scale,
    left: Mat<'a, L>,
    right: Mat<'a, R>,
    packed: Packed<'a>,
    second: Option<(Mat<'a, L>, Mat<'a, R>, Packed<'a>)>,
}

/// Where a right operand's panels are, but for those that are made for one product.
#[derive(Clone, Copy)]
enum Packed<'a> {
    Nowhere,
    /// With whichever product needs them first.
    Shared(&'a PanelsOnce),
    /// With the weight.
    Prepacked(&'a Prepacked),
}

impl<'a> Packed<'a> {
    fn with(prepacked: Option<&'a Prepacked>) -> Self {
        prepacked.map_or(Self::Nowhere, Self::Prepacked)
    }

    /// The panels of a stretch of a right operand.
    fn panels<K: Kernel, R: Element>(
        self,
        right: Mat<'_, R>,
        first: usize,
        length: usize,
        threads: Threads,
    ) -> Arc<Panels<K>> {
        let fresh = || Arc::new(Panels::new(right, first, length, threads));
        match self {
            Self::Nowhere => fresh(),
            Self::Prepacked(prepacked) => prepacked.panels(first).unwrap_or_else(fresh),
            // Only operands of a single stretch are kept.
            Self::Shared(once) if right.cols <= DEPTH => shared::panels(once, fresh),
            Self::Shared(_) => fresh(),
        }
    }
}

/// Chooses for each product which operand is the right one.
fn multiply<K: Kernel, L: Element, R: Element>(products: Vec<Product<'_, L, R>>, threads: Threads) {
    let (mut as_given, mut turned) = (Vec::with_capacity(products.len()), Vec::with_capacity(products.len()));
    for Product { dst, into, factor, lhs: shared, rhs, prepacked, second } in products {
        let fit =
            |lhs: &Mat<'_, L>, rhs: &Mat<'_, R>| lhs.cols == rhs.rows && dst.rows == lhs.rows && dst.cols == rhs.cols;
        let lhs = shared.mat;
        assert!(fit(&lhs, &rhs), "dimensions of a product");
        assert!(second.is_none_or(|second| fit(&second.lhs, &second.rhs)), "dimensions of a second product");
        let (scale, rhs, across_rows) = (Scale { into, factor }, rhs.t(), dst.col_stride != 1);
        if dst.rows == 0 || dst.cols == 0 {
            continue;
        }
        if lhs.cols == 0 {
            debug_assert!(second.is_none(), "a second product of nothing");
            clear(&dst, into);
            continue;
        }
        let of_given = || cost(&lhs, &rhs, across_rows, |values| values);
        let of_turned = || cost(&rhs, &lhs, !across_rows, |values| shared.share_of(values));
        if prepacked.is_some() || of_given() < of_turned() {
            let second = second.map(|second| (second.lhs, second.rhs.t(), Packed::with(second.prepacked)));
            as_given.push(Job { dst, scale, left: lhs, right: rhs, packed: Packed::with(prepacked), second });
        } else {
            let second = second.map(|second| (second.rhs.t(), second.lhs, Packed::Nowhere));
            let packed = Packed::Shared(shared.panels());
            turned.push(Job { dst: dst.t(), scale, left: rhs, right: lhs, packed, second });
        }
    }
    run::<K, L, R>(&as_given, threads);
    run::<K, R, L>(&turned, threads);
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
/// written a second time. `share` is what this product pays of the packing.
fn cost<L, R>(left: &Mat<'_, L>, right: &Mat<'_, R>, across_rows: bool, share: impl Fn(usize) -> usize) -> usize {
    let copied = if left.col_stride == 1 { 0 } else { 4 * left.rows };
    let packed = if right.row_stride == 1 { right.rows } else { 2 * right.rows };
    let gathered = if across_rows { left.rows * right.rows / left.cols } else { 0 };
    copied + share(packed) + gathered
}

fn run<K: Kernel, L: Element, R: Element>(jobs: &[Job<'_, L, R>], threads: Threads) {
    if jobs.iter().all(|job| job.right.rows <= K::Narrow::COLS) {
        run_passes::<K::Narrow, L, R>(jobs, threads);
    } else {
        run_passes::<K, L, R>(jobs, threads);
    }
}

fn run_passes<K: Kernel, L: Element, R: Element>(jobs: &[Job<'_, L, R>], threads: Threads) {
    let depth_max = jobs.iter().map(|job| job.right.cols).max().unwrap_or(0);
    for first in (0..depth_max).step_by(DEPTH) {
        let jobs = jobs.iter().filter(|job| job.right.cols > first);
        let passes: Vec<Pass<'_, K, L>> = jobs.map(|job| Pass::new(job, first, threads)).collect();
        run_tasks(&passes, threads);
    }
}

fn run_tasks<K: Kernel, L: Element>(passes: &[Pass<'_, K, L>], threads: Threads) {
    let tasks = |pass: &Pass<'_, K, L>| pass.down * pass.across;
    let count = passes.iter().map(tasks).sum();
    let task = |mut index: usize| {
        for pass in passes {
            match index.checked_sub(tasks(pass)) {
                Some(beyond) => index = beyond,
                None => return pass.task(index),
            }
        }
    };
    let multiply_adds: usize = passes.iter().map(|pass| pass.dst.rows * pass.dst.cols * pass.pair.left.cols).sum();
    match threads {
        Threads::Pool if multiply_adds > MULTIPLY_ADDS_ALONE => (0..count).into_par_iter().for_each(task),
        _ => (0..count).for_each(task),
    }
}

/// One stretch of the inner dimension of a product.
struct Pass<'a, K: Kernel, L> {
    dst: &'a MatMut<'a>,
    scale: Scale,
    pair: Pair<'a, K, L>,
    second: Option<Pair<'a, K, L>>,
    /// Tasks along the rows of the left operand, and along panels.
    down: usize,
    across: usize,
}

/// Operands, with the right one packed.
struct Pair<'a, K: Kernel, L> {
    left: Mat<'a, L>,
    panels: Arc<Panels<K>>,
    /// Few rows are brought into order once for all tasks.
    few: Option<Arc<Block<K>>>,
}

impl<'a, K: Kernel, L: Element> Pass<'a, K, L> {
    fn new<R: Element>(job: &'a Job<'a, L, R>, first: usize, threads: Threads) -> Self {
        let Job { dst, scale, left, right, packed, second } = job;
        let length = DEPTH.min(right.cols - first);
        let panels = packed.panels(*right, first, length, threads);
        let pair = Pair::new(left.part(0..left.rows, first..first + length), panels);
        let second = second.filter(|_| first == 0);
        // Whole, however long it is: adapters are narrow.
        let second = second.map(|(left, right, packed)| {
            let packed = if right.cols > DEPTH { Packed::Nowhere } else { packed };
            Pair::new(left, packed.panels(right, 0, right.cols, threads))
        });
        let down = dst.rows.div_ceil(TASK_ROWS);
        let across = TASKS.div_ceil(down).min(dst.cols.div_ceil(K::COLS));
        let into = if first == 0 { scale.into } else { Into::Add };
        Self { dst, scale: Scale { into, ..*scale }, pair, second, down, across }
    }

    fn task(&self, index: usize) {
        let panels = self.dst.cols.div_ceil(K::COLS);
        let (first_row, part) = (index / self.across * TASK_ROWS, index % self.across);
        let panels = part * panels / self.across..(part + 1) * panels / self.across;
        let rows = first_row..self.dst.rows.min(first_row + TASK_ROWS);
        let block = self.pair.block(rows.clone(), panels.len());
        let second = self.second.as_ref().map(|pair| (pair, pair.block(rows.clone(), panels.len())));

        let mut sums = [0.0; TILE_VALUES_MAX];
        let mut more = [0.0; TILE_VALUES_MAX];
        // SAFETY: the kernel was chosen for this processor.
        let mut session = unsafe { K::start() };
        // SAFETY: these rows of these panels belong to this task.
        let mut output = unsafe { Output::new::<K>(self.dst, self.scale, first_row, rows.len()) };
        for panel in panels {
            let col = panel * K::COLS;
            let cols = K::COLS.min(self.dst.cols - col);
            for row in (0..rows.len()).step_by(K::ROWS) {
                let count = K::ROWS.min(rows.len() - row);
                let mut tile = |pair: &Pair<'_, K, L>, block: &Block<K>, sums: &mut [f32; TILE_VALUES_MAX]| {
                    let (left, panels) = (block.rows(row, count), &pair.panels);
                    // SAFETY: as above; rows and panel hold the stretch of the inner dimension.
                    unsafe { K::tile(&mut session, left, cols, panels.panel(panel), panels.steps, sums) };
                };
                tile(&self.pair, &block, &mut sums);
                if let Some((pair, block)) = &second {
                    tile(pair, block, &mut more);
                    let tile = K::ROWS * K::COLS;
                    sums[..tile].iter_mut().zip(&more[..tile]).for_each(|(sum, more)| *sum += more);
                }
                output.put::<K>(row, col, cols, &sums);
            }
            output.end_panel(col, cols);
        }
    }
}

impl<'a, K: Kernel, L: Element> Pair<'a, K, L> {
    fn new(left: Mat<'a, L>, panels: Arc<Panels<K>>) -> Self {
        let few = (left.rows <= TASK_ROWS).then(|| Arc::new(Block::new(left, panels.count >= PANELS_TO_COPY_FOR)));
        Self { left, panels, few }
    }

    /// Rows for a task, which are to meet so many panels.
    fn block(&self, rows: Range<usize>, panels: usize) -> Arc<Block<K>> {
        let own = || Arc::new(Block::new(self.left.part(rows, 0..self.left.cols), panels >= PANELS_TO_COPY_FOR));
        self.few.clone().unwrap_or_else(own)
    }
}
