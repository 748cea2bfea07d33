//! The innermost loops: a tile of the result stays in registers while a kernel runs down the inner dimension.

use crate::element::Element;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "x86_64")]
pub(super) use amx::Amx;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, Avx512Bf16};

/// The greatest tile of any kernel.
pub(super) const TILE_VALUES_MAX: usize = 32 * 32;

/// Some rows of the left operand, whose neighbours along the inner dimension are neighbours in memory.
#[derive(Clone, Copy)]
pub(super) struct Rows<E> {
    pub(super) first: *const E,
    /// From a row to the next.
    pub(super) stride: usize,
    /// At least one.
    pub(super) count: usize,
}

impl<E> Rows<E> {
    /// A row; the last one, where there are not as many, so that a kernel can always compute a whole tile.
    #[inline(always)]
    fn row_or_last(&self, row: usize) -> *const E {
        self.first.wrapping_add(row.min(self.count - 1) * self.stride)
    }
}

/// A way to multiply tiles.
pub(super) trait Kernel: Send + Sync + 'static {
    /// What operands are.
    type E: Element;
    /// What a thread holds while it multiplies.
    type Session;
    /// A kernel for a right operand of few rows, which sums in the same order.
    type Narrow: Kernel<E = Self::E>;
    /// Neighbours along the inner dimension that are multiplied at once: a step.
    const STEP: usize;
    /// Operands have a multiple of so many steps.
    const STEPS_MULTIPLE: usize = 1;
    /// Rows and columns of a tile.
    const ROWS: usize;
    /// See `ROWS`.
    const COLS: usize;

    /// # Safety
    /// The processor has what the kernel needs.
    unsafe fn start() -> Self::Session;

    /// The products of up to `ROWS` rows of the left operand with the first `cols` columns of a panel: `[ROWS, COLS]`, of
    /// which others hold anything.
    ///
    /// # Safety
    /// The processor has what the kernel needs; rows and panel have `steps` steps; `cols` is 1 to `COLS`.
    unsafe fn tile(
        session: &mut Self::Session,
        left: Rows<Self::E>,
        cols: usize,
        panel: *const Self::E,
        steps: usize,
        sums: &mut [f32; TILE_VALUES_MAX],
    );
}

/// For any processor.
pub(super) struct Portable;

impl Kernel for Portable {
    type E = f32;
    type Session = ();
    type Narrow = Self;
    const STEP: usize = 1;
    const ROWS: usize = 4;
    const COLS: usize = 8;

    unsafe fn start() {}

    unsafe fn tile(
        (): &mut (),
        left: Rows<f32>,
        _cols: usize,
        panel: *const f32,
        steps: usize,
        sums: &mut [f32; TILE_VALUES_MAX],
    ) {
        let rows: [_; 4] = std::array::from_fn(|row| left.row_or_last(row));
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
