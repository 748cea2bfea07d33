//! The instructions of AMX that this crate emits, carried out in software where the processor lacks them, so that the real
//! code, in its real encoding, runs in tests on any x86-64 processor.
//!
//! A processor that does not know an instruction raises `SIGILL`. The handler decodes what is there, does the same to tiles
//! that it keeps for each thread, and goes on behind it. What it does not know, or what would be a fault on a processor
//! with tiles too, ends the process, as it would without the handler.

use std::{cell::RefCell, sync::Once};

use libc::{
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RAX, REG_RBP, REG_RBX, REG_RCX, REG_RDI,
    REG_RDX, REG_RIP, REG_RSI, REG_RSP,
};

/// Registers by their number in encodings.
const REGISTERS: [i32; 16] = [
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12,
    REG_R13, REG_R14, REG_R15,
];

/// Makes sure that the instructions work. Does nothing where the processor has them.
pub(crate) fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        if super::is_available() {
            return;
        }
        let handler = handle as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void);
        // SAFETY: an action without flags and an empty mask is valid; the handler touches only what the interrupted
        // instruction may touch, and state of its own thread.
        let result = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as usize;
            action.sa_flags = libc::SA_SIGINFO;
            libc::sigaction(libc::SIGILL, &raw const action, std::ptr::null_mut())
        };
        assert_eq!(result, 0, "a handler of SIGILL");
    });
}

extern "C" fn handle(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the third argument is the interrupted thread's context.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    // SAFETY: the processor has just read an instruction there.
    let decoded = unsafe { decode(registers) };
    if let Some((instruction, len)) = decoded
        && MACHINE.with_borrow_mut(|machine| machine.execute(instruction)).is_some()
    {
        registers[REG_RIP as usize] += len as i64;
        return;
    }
    // SAFETY: the instruction is met again when this returns, and ends the process.
    unsafe { libc::signal(libc::SIGILL, libc::SIG_DFL) };
}

#[derive(Clone, Copy)]
enum Instruction {
    LoadConfiguration(*const u8),
    StoreConfiguration(*mut u8),
    Release,
    Zero(usize),
    Load { tile: usize, from: *const u8, stride: isize },
    Store { tile: usize, to: *mut u8, stride: isize },
    MultiplyBf16 { sums: usize, left: usize, right: usize },
}

/// A memory operand: where it starts, its scaled index, and the bytes of its encoding after ModRM.
struct Memory {
    start: usize,
    index: isize,
    len: usize,
}

/// The instruction at RIP and its length, by volume 2 of the manual: three bytes of VEX, opcode, ModRM and memory operand.
///
/// # Safety
/// RIP points to an instruction.
unsafe fn decode(registers: &[i64]) -> Option<(Instruction, usize)> {
    let code = registers[REG_RIP as usize] as *const u8;
    // SAFETY: bytes of the instruction; each is read where those before it say that there is one.
    let byte = |at: usize| unsafe { code.add(at).read() };
    if byte(0) != 0xc4 || byte(1) & 0x1f != 2 || byte(2) & 0b1000_0100 != 0 {
        return None;
    }
    let extended = |bit: u8| usize::from(byte(1) >> bit & 1 == 0) << 3;
    let (prefix, third, opcode, modrm) = (byte(2) & 3, usize::from(!byte(2) >> 3 & 15), byte(3), byte(4));
    let (reg, rm) = (usize::from(modrm >> 3 & 7), usize::from(modrm & 7));
    let value = |register: usize| registers[REGISTERS[register] as usize] as usize;
    let memory = || -> Option<Memory> {
        let (mut at, index, base) = match rm {
            4 => {
                let sib = byte(5);
                let number = usize::from(sib >> 3 & 7) | extended(6);
                let index = if number == 4 { 0 } else { (value(number) << (sib >> 6)) as isize };
                (6, index, usize::from(sib & 7))
            }
            _ => (5, 0, rm),
        };
        let displacement = match modrm >> 6 {
            0 if base == 5 => return None,
            0 => 0,
            1 => isize::from(byte(at) as i8),
            _ => i32::from_le_bytes([byte(at), byte(at + 1), byte(at + 2), byte(at + 3)]) as isize,
        };
        at += [0, 1, 4][usize::from(modrm >> 6)];
        let start = value(base | extended(5)).wrapping_add_signed(displacement);
        Some(Memory { start, index, len: at - 5 })
    };
    let at = |memory: &Memory| memory.start.wrapping_add_signed(memory.index);
    match (opcode, prefix, modrm >> 6) {
        (0x49, 0, 3) if modrm == 0xc0 => Some((Instruction::Release, 5)),
        (0x49, 3, 3) if rm == 0 => Some((Instruction::Zero(reg), 5)),
        (0x49, 0, 0..=2) => {
            memory().map(|memory| (Instruction::LoadConfiguration(at(&memory) as *const u8), 5 + memory.len))
        }
        (0x49, 1, 0..=2) => {
            memory().map(|memory| (Instruction::StoreConfiguration(at(&memory) as *mut u8), 5 + memory.len))
        }
        (0x4b, 3, 0..=2) if rm == 4 => memory().map(|Memory { start, index: stride, len }| {
            (Instruction::Load { tile: reg, from: start as *const u8, stride }, 5 + len)
        }),
        (0x4b, 2, 0..=2) if rm == 4 => memory().map(|Memory { start, index: stride, len }| {
            (Instruction::Store { tile: reg, to: start as *mut u8, stride }, 5 + len)
        }),
        (0x5c, 2, 3) => Some((Instruction::MultiplyBf16 { sums: reg, left: rm, right: third }, 5)),
        _ => None,
    }
}

/// A thread's tiles: 16 rows of 16 times 4 bytes each.
struct Machine {
    configuration: [u8; 64],
    tiles: [[[u32; 16]; 16]; 8],
}

thread_local! {
    static MACHINE: RefCell<Machine> =
        const { RefCell::new(Machine { configuration: [0; 64], tiles: [[[0; 16]; 16]; 8] }) };
}

impl Machine {
    /// Nothing, where it is a fault.
    fn execute(&mut self, instruction: Instruction) -> Option<()> {
        match instruction {
            Instruction::Release => self.configure([0; 64])?,
            // SAFETY: the instruction reads 64 bytes.
            Instruction::LoadConfiguration(from) => self.configure(unsafe { from.cast::<[u8; 64]>().read() })?,
            // SAFETY: the instruction writes 64 bytes.
            Instruction::StoreConfiguration(to) => unsafe { to.cast::<[u8; 64]>().write(self.configuration) },
            Instruction::Zero(tile) => {
                self.shape(tile)?;
                self.tiles[tile] = [[0; 16]; 16];
            }
            Instruction::Load { tile, from, stride } => {
                let (rows, words) = self.shape(tile)?;
                self.tiles[tile] = [[0; 16]; 16];
                for (row, to) in self.tiles[tile].iter_mut().enumerate().take(rows) {
                    let from = from.wrapping_offset(row as isize * stride).cast::<u32>();
                    for (word, to) in to.iter_mut().enumerate().take(words) {
                        // SAFETY: the instruction reads these bytes.
                        *to = unsafe { from.add(word).read_unaligned() };
                    }
                }
            }
            Instruction::Store { tile, to, stride } => {
                let (rows, words) = self.shape(tile)?;
                for (row, from) in self.tiles[tile].iter().enumerate().take(rows) {
                    let to = to.wrapping_offset(row as isize * stride).cast::<u32>();
                    for (word, from) in from.iter().enumerate().take(words) {
                        // SAFETY: the instruction writes these bytes.
                        unsafe { to.add(word).write_unaligned(*from) };
                    }
                }
            }
            Instruction::MultiplyBf16 { sums, left, right } => self.multiply(sums, left, right)?,
        }
        Some(())
    }

    fn configure(&mut self, configuration: [u8; 64]) -> Option<()> {
        let palette = configuration[0];
        let unused = configuration[2..16].iter().all(|byte| *byte == 0);
        self.configuration = if palette == 0 { [0; 64] } else { configuration };
        self.tiles = [[[0; 16]; 16]; 8];
        let fits = (0..8).all(|tile| {
            let (rows, bytes) = self.rows_and_bytes(tile);
            rows <= 16 && bytes <= 64 && (rows == 0) == (bytes == 0)
        });
        (palette <= 1 && unused && fits).then_some(())
    }

    fn rows_and_bytes(&self, tile: usize) -> (usize, usize) {
        let bytes = u16::from_le_bytes([self.configuration[16 + 2 * tile], self.configuration[17 + 2 * tile]]);
        (usize::from(self.configuration[48 + tile]), usize::from(bytes))
    }

    /// Rows of a tile and words in each; a tile that is not configured is a fault.
    fn shape(&self, tile: usize) -> Option<(usize, usize)> {
        let (rows, bytes) = self.rows_and_bytes(tile);
        (rows > 0 && bytes % 4 == 0).then_some((rows, bytes / 4))
    }

    /// `tdpbf16ps`: even and odd elements are summed apart, and then added to what is there. (It also flushes subnormals,
    /// which tests do not have.)
    fn multiply(&mut self, sums: usize, left: usize, right: usize) -> Option<()> {
        let ((rows, cols), (left_rows, pairs)) = (self.shape(sums)?, self.shape(left)?);
        let distinct = sums != left && sums != right && left != right;
        if !distinct || left_rows != rows || self.shape(right)? != (pairs, cols) {
            return None;
        }
        let even = |pair: u32| f32::from_bits(pair << 16);
        let odd = |pair: u32| f32::from_bits(pair & 0xffff_0000);
        for row in 0..rows {
            for col in 0..cols {
                let (mut evens, mut odds) = (0.0, 0.0);
                for pair in 0..pairs {
                    // The product of two bf16 is exact in f32, so this is a fused multiply-add.
                    let (x, y) = (self.tiles[left][row][pair], self.tiles[right][pair][col]);
                    evens += even(x) * even(y);
                    odds += odd(x) * odd(y);
                }
                let sum = &mut self.tiles[sums][row][col];
                *sum = (f32::from_bits(*sum) + (evens + odds)).to_bits();
            }
        }
        Some(())
    }
}
