//! A matrix product for processors with AVX-512, in the manner of BLIS (Van Zee & van de Geijn 2015): both operands are
//! packed into panels, and a kernel holds a tile of the result in registers while it runs down the inner dimension.

use std::arch::x86_64::{
    _mm512_add_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
};

use rayon::prelude::*;

use crate::gemm::{Into, Mat, Threads};

/// A tile in registers: 8 rows of 3 vectors leave room for one vector of each operand.
const TILE_ROWS: usize = 8;
const VECTOR: usize = 16;
const TILE_VECTORS: usize = 3;
const TILE_COLS: usize = TILE_VECTORS * VECTOR;
/// Inner dimension per pass: a panel of rows stays in the first-level cache.
const DEPTH: usize = 512;
/// Panels per task: its columns stay in the second-level cache.
const TASK_ROW_PANELS: usize = 16;
const TASK_COL_PANELS: usize = 4;

/// Products with fewer multiplications are not worth packing for.
const PRODUCT_MIN: usize = 16 * 1024;

/// Whether [`product`] can run here and is worth it.
pub(crate) fn suits(rows: usize, cols: usize, depth: usize) -> bool {
    rows >= TILE_ROWS
        && cols >= TILE_ROWS
        && rows * cols * depth >= PRODUCT_MIN
        && std::arch::is_x86_feature_detected!("avx512f")
}

/// `dst (+)= factor * lhs * rhs` with a dense row-major `dst`.
///
/// Each element is summed along the inner dimension in order, whatever the number of threads.
pub(crate) fn product(dst: &mut [f32], into: Into, factor: f32, lhs: Mat<'_>, rhs: Mat<'_>, threads: Threads) {
    let (rows, cols, depth) = (lhs.rows, rhs.cols, lhs.cols);
    assert!(dst.len() >= rows * cols && depth == rhs.rows && depth > 0, "operands of a product");
    let longest = depth.min(DEPTH);
    let mut row_panels = vec![0.0; rows.div_ceil(TILE_ROWS) * TILE_ROWS * longest];
    let mut col_panels = vec![0.0; cols.div_ceil(TILE_COLS) * TILE_COLS * longest];
    for first in (0..depth).step_by(DEPTH) {
        let length = DEPTH.min(depth - first);
        pack::<TILE_ROWS>(&mut row_panels, lhs, first, length, threads);
        pack::<TILE_COLS>(&mut col_panels, rhs.t(), first, length, threads);
        let pass = Pass {
            row_panels: &row_panels,
            col_panels: &col_panels,
            length,
            rows,
            cols,
            add: into == Into::Add || first > 0,
            factor,
            dst: Destination(dst.as_mut_ptr()),
        };
        pass.run(threads);
    }
}

/// Copies `length` columns of `mat`, from `first` on, into panels of `WIDTH` rows: `[panel, column, row]`. What a last
/// panel has over is zero.
fn pack<const WIDTH: usize>(panels: &mut [f32], mat: Mat<'_>, first: usize, length: usize, threads: Threads) {
    let panels = &mut panels[..mat.rows.div_ceil(WIDTH) * WIDTH * length];
    let fill = |(index, panel): (usize, &mut [f32])| {
        let from = index * WIDTH;
        let rows = WIDTH.min(mat.rows - from);
        if rows < WIDTH {
            panel.fill(0.0);
        }
        let data = &mat.data[from * mat.row_stride + first * mat.col_stride..];
        if mat.row_stride == 1 {
            for (column, packed) in panel.chunks_exact_mut(WIDTH).enumerate() {
                packed[..rows].copy_from_slice(&data[column * mat.col_stride..][..rows]);
            }
            return;
        }
        // A few columns at a time, so that what is written stays in the first-level cache.
        for (block, packed) in panel.chunks_mut(WIDTH * VECTOR).enumerate() {
            for row in 0..rows {
                let row_data = &data[row * mat.row_stride + block * VECTOR * mat.col_stride..];
                let columns = packed.chunks_exact_mut(WIDTH);
                if mat.col_stride == 1 {
                    columns.zip(row_data).for_each(|(packed, value)| packed[row] = *value);
                } else {
                    columns
                        .zip(row_data.iter().step_by(mat.col_stride))
                        .for_each(|(packed, value)| packed[row] = *value);
                }
            }
        }
    };
    match threads {
        Threads::Pool => panels.par_chunks_exact_mut(WIDTH * length).enumerate().with_min_len(4).for_each(fill),
        Threads::One => panels.chunks_exact_mut(WIDTH * length).enumerate().for_each(fill),
    }
}

/// Where the tasks of a pass write, each to rows and columns of its own.
#[derive(Clone, Copy)]
struct Destination(*mut f32);

// SAFETY: the tasks of a pass write to disjoint tiles (see `Pass::run`), and it ends before the slice is used again.
unsafe impl Send for Destination {}
// SAFETY: as above.
unsafe impl Sync for Destination {}

/// One stretch of the inner dimension.
struct Pass<'a> {
    row_panels: &'a [f32],
    col_panels: &'a [f32],
    length: usize,
    rows: usize,
    cols: usize,
    add: bool,
    factor: f32,
    dst: Destination,
}

impl Pass<'_> {
    fn run(&self, threads: Threads) {
        let (row_panels, col_panels) = (self.rows.div_ceil(TILE_ROWS), self.cols.div_ceil(TILE_COLS));
        let (across, down) = (col_panels.div_ceil(TASK_COL_PANELS), row_panels.div_ceil(TASK_ROW_PANELS));
        let task = |index: usize| {
            let (first_row, first_col) = (index / across * TASK_ROW_PANELS, index % across * TASK_COL_PANELS);
            for row_panel in first_row..(first_row + TASK_ROW_PANELS).min(row_panels) {
                for col_panel in first_col..(first_col + TASK_COL_PANELS).min(col_panels) {
                    // SAFETY: `suits` has found AVX-512; each pair of panels, and so each tile, belongs to one task.
                    unsafe { self.tile(row_panel, col_panel) };
                }
            }
        };
        match threads {
            Threads::Pool => (0..across * down).into_par_iter().for_each(task),
            Threads::One => (0..across * down).for_each(task),
        }
    }

    /// # Safety
    /// The processor has AVX-512, and nothing else accesses this tile of the destination.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile(&self, row_panel: usize, col_panel: usize) {
        let columns = TILE_COLS.min(self.cols - col_panel * TILE_COLS);
        // SAFETY: the caller's promises are passed on; the vectors cover the columns that there are.
        unsafe {
            match columns.div_ceil(VECTOR) {
                1 => self.tile_of::<1>(row_panel, col_panel, columns),
                2 => self.tile_of::<2>(row_panel, col_panel, columns),
                _ => self.tile_of::<TILE_VECTORS>(row_panel, col_panel, columns),
            }
        }
    }

    /// # Safety
    /// As [`tile`](Self::tile), and `VECTORS` vectors hold `columns` values and no more than a panel does.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile_of<const VECTORS: usize>(&self, row_panel: usize, col_panel: usize, columns: usize) {
        let row_panel_len = TILE_ROWS * self.length;
        let col_panel_len = TILE_COLS * self.length;
        let a = &self.row_panels[row_panel * row_panel_len..][..row_panel_len];
        let b = &self.col_panels[col_panel * col_panel_len..][..col_panel_len];
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; TILE_ROWS];
        let (mut a_at, mut b_at) = (a.as_ptr(), b.as_ptr());
        for _ in 0..self.length {
            // SAFETY: the panels hold `length` columns of TILE_ROWS and TILE_COLS values, and VECTORS * 16 ≤ TILE_COLS.
            unsafe {
                let mut values = [_mm512_setzero_ps(); VECTORS];
                for (vector, value) in values.iter_mut().enumerate() {
                    *value = _mm512_loadu_ps(b_at.add(vector * VECTOR));
                }
                for (row, sums) in sums.iter_mut().enumerate() {
                    let factor = _mm512_set1_ps(*a_at.add(row));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = _mm512_fmadd_ps(factor, value, *sum);
                    }
                }
                a_at = a_at.add(TILE_ROWS);
                b_at = b_at.add(TILE_COLS);
            }
        }
        let factor = _mm512_set1_ps(self.factor);
        let first_row = row_panel * TILE_ROWS;
        let rows = TILE_ROWS.min(self.rows - first_row);
        for (row, sums) in sums.iter().enumerate().take(rows) {
            // SAFETY: the row and the columns lie inside the destination of rows * cols values.
            let dst = unsafe { self.dst.0.add((first_row + row) * self.cols + col_panel * TILE_COLS) };
            if columns == VECTORS * VECTOR {
                for (vector, sum) in sums.iter().enumerate() {
                    // SAFETY: all of the tile's columns are inside the destination.
                    unsafe {
                        let at = dst.add(vector * VECTOR);
                        let scaled = _mm512_mul_ps(factor, *sum);
                        let value = if self.add { _mm512_add_ps(_mm512_loadu_ps(at), scaled) } else { scaled };
                        _mm512_storeu_ps(at, value);
                    }
                }
                continue;
            }
            let mut values = [[0.0_f32; VECTOR]; VECTORS];
            for (values, sum) in values.iter_mut().zip(sums) {
                // SAFETY: an array of one vector.
                unsafe { _mm512_storeu_ps(values.as_mut_ptr(), _mm512_mul_ps(factor, *sum)) };
            }
            for (column, value) in values.as_flattened()[..columns].iter().enumerate() {
                // SAFETY: `column` is one of the tile's columns inside the destination.
                unsafe {
                    let at = dst.add(column);
                    *at = if self.add { *at + value } else { *value };
                }
            }
        }
    }
}
