use std::time::Instant;

use perennial_kernels::{Isa, Precision};
use rayon::prelude::*;

const READ_BYTES: usize = 256 << 20;
const ITERATIONS: usize = 1 << 20;
/// Sums at once: enough to hide the latency of an instruction.
const SUMS: usize = 12;

/// Bytes that the threads of the pool read from memory in a second.
pub(crate) fn bytes_read() -> f64 {
    let values = vec![1_u64; READ_BYTES / 8];
    best(|| {
        let sum: u64 = values.par_chunks(1 << 16).map(|values| values.iter().fold(0, |sum, x| sum ^ x)).sum();
        std::hint::black_box(sum);
        READ_BYTES as f64
    })
}

/// Operations that the threads of the pool do in a second where nothing but registers is used.
pub(crate) fn flops(isa: Isa, precision: Precision) -> f64 {
    let threads = rayon::current_num_threads();
    best(|| (0..threads).into_par_iter().with_max_len(1).map(|_| spin(isa, precision)).sum())
}

/// The greatest rate of a few runs, each of which returns what it did.
fn best(run: impl Fn() -> f64) -> f64 {
    let rate = || {
        let start = Instant::now();
        run() / start.elapsed().as_secs_f64()
    };
    (0..5).map(|_| rate()).fold(0.0, f64::max)
}

/// Returns the number of operations.
fn spin(isa: Isa, precision: Precision) -> f64 {
    let per_instruction = match (isa, precision) {
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512Bf16, Precision::Bf16) => {
            // SAFETY: the processor has it.
            unsafe { x86::dpbf16() };
            64
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx, Precision::F32) | (Isa::Avx512, Precision::Bf16) => {
            // SAFETY: the processor has it.
            unsafe { x86::fma512() };
            32
        }
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, _) => {
            // SAFETY: the processor has it.
            unsafe { x86::fma256() };
            16
        }
        _ => return f64::NAN,
    };
    (ITERATIONS * SUMS * per_instruction) as f64
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::{arch::x86_64::*, hint::black_box};

    use super::{ITERATIONS, SUMS};

    macro_rules! spin {
        ($name:ident, $features:literal, $splat:ident, $step:expr) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name() {
                let (mut sums, factor) = ([$splat(0.0); SUMS], black_box($splat(0.5)));
                for _ in 0..ITERATIONS {
                    sums.iter_mut().for_each(|sum| *sum = $step(*sum, factor));
                }
                black_box(sums);
            }
        };
    }
    spin!(fma256, "avx2,fma", _mm256_set1_ps, |sum, factor| _mm256_fmadd_ps(factor, factor, sum));
    spin!(fma512, "avx512f", _mm512_set1_ps, |sum, factor| _mm512_fmadd_ps(factor, factor, sum));
    spin!(dpbf16, "avx512f,avx512bf16", _mm512_set1_ps, |sum, factor| {
        // SAFETY: any 512 bits are pairs of bf16.
        let pairs: __m512bh = unsafe { std::mem::transmute(factor) };
        _mm512_dpbf16_ps(sum, pairs, pairs)
    });
}
