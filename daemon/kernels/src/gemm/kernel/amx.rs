use std::arch::asm;

use half::bf16;

use super::{Kernel, Rows, TILE_VALUES_MAX};
use crate::amx::{TILE_ROWS, Tiles};

/// Pairs of bf16 on tiles: two by two of 16 x 16 results, so that each operand that is loaded is used twice.
pub(in crate::gemm) struct Amx;

/// From one row of a panel, or of the results, to the next.
const ROW_BYTES: usize = <Amx as Kernel>::COLS * 4;

impl Kernel for Amx {
    type E = bf16;
    type Session = Tiles;
    type Narrow = Self;
    const STEP: usize = 2;
    const STEPS_MULTIPLE: usize = TILE_ROWS;
    const ROWS: usize = 32;
    const COLS: usize = 32;

    unsafe fn start() -> Tiles {
        // SAFETY: as the caller promises.
        unsafe { Tiles::take() }
    }

    unsafe fn tile(
        tiles: &mut Tiles,
        left: Rows<bf16>,
        cols: usize,
        panel: *const bf16,
        steps: usize,
        sums: &mut [f32; TILE_VALUES_MAX],
    ) {
        tiles.set_rows(left.count);
        // SAFETY: what a variant touches of rows, panel and sums is there, and its tiles are configured.
        unsafe {
            match (left.count > TILE_ROWS, cols > TILE_ROWS) {
                (false, false) => quarter(left, panel, steps, sums),
                (false, true) => upper_half(left, panel, steps, sums),
                (true, false) => left_half(left, panel, steps, sums),
                (true, true) => whole(left, panel, steps, sums),
            }
        }
    }
}

/// Defines a loop along the inner dimension, 32 values at a time: what it clears, does and stores.
macro_rules! define_loop {
    ($name:ident, [$($clear:literal),+], [$($multiply:literal),+], [$($store:literal),+]) => {
        /// # Safety
        /// Rows and panel hold the steps, a multiple of 16; tiles are configured for the rows.
        unsafe fn $name(left: Rows<bf16>, panel: *const bf16, steps: usize, sums: &mut [f32; TILE_VALUES_MAX]) {
            if steps == 0 {
                return sums.fill(0.0);
            }
            // SAFETY: as the caller promises; the results' rows are inside of `sums`.
            unsafe {
                asm!(
                    "/* {lower} */",
                    $($clear,)+
                    "2:",
                    $($multiply,)+
                    "add {upper}, 64",
                    "add {lower}, 64",
                    "add {panel}, 2048",
                    "dec {blocks}",
                    "jnz 2b",
                    $($store,)+
                    upper = inout(reg) left.first => _,
                    lower = inout(reg) left.first.wrapping_add(TILE_ROWS * left.stride) => _,
                    panel = inout(reg) panel => _,
                    blocks = inout(reg) steps / TILE_ROWS => _,
                    left_bytes = in(reg) left.stride * size_of::<bf16>(),
                    row_bytes = in(reg) ROW_BYTES,
                    sums = in(reg) sums.as_mut_ptr(),
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

define_loop!(
    quarter,
    ["tilezero tmm0"],
    [
        "tileloadd tmm6, [{panel} + {row_bytes}*1]",
        "tileloadd tmm4, [{upper} + {left_bytes}*1]",
        "tdpbf16ps tmm0, tmm4, tmm6"
    ],
    ["tilestored [{sums} + {row_bytes}*1], tmm0"]
);
define_loop!(
    upper_half,
    ["tilezero tmm0", "tilezero tmm1"],
    [
        "tileloadd tmm6, [{panel} + {row_bytes}*1]",
        "tileloadd tmm4, [{upper} + {left_bytes}*1]",
        "tdpbf16ps tmm0, tmm4, tmm6",
        "tileloadd tmm7, [{panel} + {row_bytes}*1 + 64]",
        "tdpbf16ps tmm1, tmm4, tmm7"
    ],
    ["tilestored [{sums} + {row_bytes}*1], tmm0", "tilestored [{sums} + {row_bytes}*1 + 64], tmm1"]
);
define_loop!(
    left_half,
    ["tilezero tmm0", "tilezero tmm2"],
    [
        "tileloadd tmm6, [{panel} + {row_bytes}*1]",
        "tileloadd tmm4, [{upper} + {left_bytes}*1]",
        "tdpbf16ps tmm0, tmm4, tmm6",
        "tileloadd tmm5, [{lower} + {left_bytes}*1]",
        "tdpbf16ps tmm2, tmm5, tmm6"
    ],
    ["tilestored [{sums} + {row_bytes}*1], tmm0", "tilestored [{sums} + {row_bytes}*1 + 2048], tmm2"]
);
define_loop!(
    whole,
    ["tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"],
    [
        "tileloadd tmm6, [{panel} + {row_bytes}*1]",
        "tileloadd tmm4, [{upper} + {left_bytes}*1]",
        "tdpbf16ps tmm0, tmm4, tmm6",
        "tileloadd tmm7, [{panel} + {row_bytes}*1 + 64]",
        "tdpbf16ps tmm1, tmm4, tmm7",
        "tileloadd tmm5, [{lower} + {left_bytes}*1]",
        "tdpbf16ps tmm2, tmm5, tmm6",
        "tdpbf16ps tmm3, tmm5, tmm7"
    ],
    [
        "tilestored [{sums} + {row_bytes}*1], tmm0",
        "tilestored [{sums} + {row_bytes}*1 + 64], tmm1",
        "tilestored [{sums} + {row_bytes}*1 + 2048], tmm2",
        "tilestored [{sums} + {row_bytes}*1 + 2112], tmm3"
    ]
);
