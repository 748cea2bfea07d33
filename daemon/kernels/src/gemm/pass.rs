use std::{ops::Range, sync::Arc};

use rayon::prelude::*;

use super::{
    DEPTH, Into, Threads,
    job::{Job, Packed, Scale},
    kernel::{Kernel, TILE_VALUES_MAX},
    operand::Block,
    output::Output,
    panels::Panels,
};
use crate::{
    element::Element,
    mat::{Mat, MatMut},
};

/// Rows of the left operand per task: whole tiles of every kernel.
pub(super) const TASK_ROWS: usize = 96;
/// Where the rows of a task meet as many panels, it may copy them to have them in better order.
const PANELS_TO_COPY_FOR: usize = 4;
/// Products of at most so many multiply-adds are done before another thread has come to help.
const MULTIPLY_ADDS_ALONE: usize = 1 << 19;
/// Tasks that a product is cut into where it has that many tiles.
const TASKS: usize = 16;

/// Computes jobs, in a narrow form of the kernel where that is all that they fill.
pub(super) fn run<K: Kernel, L: Element, R: Element>(jobs: &[Job<'_, L, R>], threads: Threads) {
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
