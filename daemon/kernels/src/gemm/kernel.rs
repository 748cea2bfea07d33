//! The innermost loops: a tile of the result stays in registers while a kernel runs down the inner dimension.

use crate::element::Element;

#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, Avx512Bf16};

/// The greatest tile of any kernel.
pub(super) const TILE_VALUES_MAX: usize = ROWS_MAX * 48;
/// The most rows of any kernel's tile.
pub(super) const ROWS_MAX: usize = 8;

/// A way to multiply tiles.
pub(super) trait Kernel: Send + Sync {
    /// What operands are.
    type E: Element;
    /// Neighbours along the inner dimension that are multiplied at once.
    const STEP: usize;
    /// Rows and columns of a tile.
    const ROWS: usize;
    /// See `ROWS`.
    const COLS: usize;

    /// The products of the first `ROWS` rows of the left operand with the first `cols` columns of a panel: `[ROWS, COLS]`.
    ///
    /// # Safety
    /// The processor has what the kernel needs; rows and panel have `steps` steps; `cols` is 1 to `COLS`.
    unsafe fn tile(
        cols: usize,
        rows: &[*const Self::E; ROWS_MAX],
        panel: *const Self::E,
        steps: usize,
        sums: &mut [f32; TILE_VALUES_MAX],
    );
}

/// For any processor.
pub(super) struct Portable;

impl Kernel for Portable {
    type E = f32;
    const STEP: usize = 1;
    const ROWS: usize = 4;
    const COLS: usize = 8;

    unsafe fn tile(
        _cols: usize,
        rows: &[*const f32; ROWS_MAX],
        panel: *const f32,
        steps: usize,
        sums: &mut [f32; TILE_VALUES_MAX],
    ) {
        let mut tile = [[0.0_f32; 8]; 4];
        for step in 0..steps {
            // SAFETY: as the caller promises.
            let values = unsafe { *panel.add(step * 8).cast::<[f32; 8]>() };
            for (sums, row) in tile.iter_mut().zip(rows) {
                // SAFETY: as the caller promises.
                let factor = unsafe { *row.add(step) };
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
            }
        }
        sums[..32].copy_from_slice(tile.as_flattened());
    }
}
