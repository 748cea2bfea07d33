//! Tiles of AMX (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18), by inline assembly:
//! their intrinsics are not stable.

#[cfg(all(test, target_os = "linux"))]
pub(crate) mod emulator;

use std::{arch::asm, sync::OnceLock};

/// Whether the processor multiplies tiles of bf16 and the system lets this process do so. Asks the system once.
pub(crate) fn is_available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| processor_has_tiles() && system_keeps_tiles() && system_permits_tiles())
}

fn processor_has_tiles() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    const BF16: u32 = 1 << 22;
    const TILE: u32 = 1 << 24;
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (BF16 | TILE) == BF16 | TILE
}

/// Whether the system saves tiles when it switches threads: bits of XCR0.
fn system_keeps_tiles() -> bool {
    const TILE_STATE: u64 = 0b11 << 17;
    #[target_feature(enable = "xsave")]
    fn enabled_state() -> u64 {
        // SAFETY: register 0 exists wherever the instruction does.
        unsafe { std::arch::x86_64::_xgetbv(0) }
    }
    // SAFETY: the processor has the feature, and the system has turned it on.
    std::arch::is_x86_feature_detected!("xsave") && unsafe { enabled_state() } & TILE_STATE == TILE_STATE
}

/// Linux gives a process room for tiles where it asks; later threads have it too.
#[cfg(target_os = "linux")]
fn system_permits_tiles() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: the call reads no memory of ours, and clobbers what a system call does.
    unsafe {
        asm!(
            "syscall",
            inout("rax") result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn system_permits_tiles() -> bool {
    false
}

/// Rows of a tile, and bytes of each.
pub(crate) const TILE_ROWS: usize = 16;
const TILE_ROW_BYTES: u16 = 64;

/// What `ldtilecfg` reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

/// This thread's tiles, while a task has them: 0 to 3 are quarters of a product of up to 32 rows, 4 and 5 halves of the left
/// operand, 6 and 7 of the right one.
///
/// Tiles are part of a thread's state, and others configure them too: candle does once for each thread, and relies on that.
/// So the configuration that was there is put back in the end. Contents are lost, which nobody keeps across calls.
pub(crate) struct Tiles {
    before: Configuration,
    rows: usize,
}

impl Tiles {
    /// # Safety
    /// The processor has tiles, and the process may use them.
    pub(crate) unsafe fn take() -> Self {
        let mut before = Configuration::default();
        // SAFETY: writes 64 bytes, and as the caller promises.
        unsafe { asm!("sttilecfg [{to}]", to = in(reg) &raw mut before, options(nostack)) };
        Self { before, rows: 0 }
    }

    /// Gives the left operand and the product this many rows, 1 to 32.
    pub(crate) fn set_rows(&mut self, rows: usize) {
        if self.rows == rows {
            return;
        }
        self.rows = rows;
        let (upper, lower) = (rows.min(TILE_ROWS) as u8, rows.saturating_sub(TILE_ROWS) as u8);
        let full = TILE_ROWS as u8;
        let mut configuration = Configuration { palette: 1, ..Configuration::default() };
        for (tile, rows) in [upper, upper, lower, lower, upper, lower, full, full].into_iter().enumerate() {
            configuration.rows[tile] = rows;
            configuration.row_bytes[tile] = if rows == 0 { 0 } else { TILE_ROW_BYTES };
        }
        // SAFETY: whoever took the tiles promised that there are some.
        unsafe { configuration.load() };
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: as in `set_rows`.
        unsafe { self.before.load() };
    }
}

impl Configuration {
    /// # Safety
    /// The processor has tiles, and this is a valid configuration.
    unsafe fn load(&self) {
        if self.palette == 0 {
            // The initial state, in which a switch of threads saves no tiles.
            // SAFETY: as the caller promises.
            return unsafe { asm!("tilerelease", options(nostack, nomem)) };
        }
        // SAFETY: reads 64 bytes, and as the caller promises.
        unsafe { asm!("ldtilecfg [{from}]", from = in(reg) self, options(nostack, readonly)) };
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn current() -> Configuration {
        let mut now = Configuration::default();
        // SAFETY: writes 64 bytes; the instruction works, since the emulator is there where the processor lacks it.
        unsafe { asm!("sttilecfg [{to}]", to = in(reg) &raw mut now, options(nostack)) };
        now
    }

    #[test]
    fn the_configuration_that_was_there_is_put_back() {
        emulator::install();
        assert_eq!(current(), Configuration::default());
        let mut other = Configuration { palette: 1, ..Configuration::default() };
        (other.rows[3], other.row_bytes[3]) = (5, 24);
        for before in [Configuration::default(), other] {
            // SAFETY: a valid configuration; the instructions work.
            unsafe { before.load() };
            // SAFETY: as above.
            let mut tiles = unsafe { Tiles::take() };
            for rows in [1, 16, 17, 32, 32] {
                tiles.set_rows(rows);
                let now = current();
                assert_eq!(usize::from(now.rows[0] + now.rows[2]), rows);
                assert_eq!((now.rows[4], now.rows[5], now.rows[7]), (now.rows[0], now.rows[2], 16));
            }
            drop(tiles);
            assert_eq!(current(), before);
        }
        // SAFETY: as above.
        unsafe { Configuration::default().load() };
    }
}
