use std::{fmt, str::FromStr, sync::OnceLock};

use crate::element::Element;

/// The instructions that kernels are made of. Each set holds those before it, on x86-64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What any processor has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512,
    /// AVX-512 with products of bf16.
    Avx512Bf16,
    /// Tiles of bf16.
    Amx,
}

/// Why an instruction set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsaError {
    /// There is no such name.
    #[error("the instruction sets are portable, avx2, avx512, avx512-bf16 and amx")]
    Unknown,
    /// The processor, or the system, lacks it.
    #[error("this machine has no `{asked}`; the most that it has is `{most}`")]
    Lacking {
        /// What was asked for.
        asked: Isa,
        /// What there is.
        most: Isa,
    },
    /// Kernels have run already, or another choice was made.
    #[error("the instruction set is `{chosen}` already: it is chosen once, before anything is computed")]
    Chosen {
        /// What is in use.
        chosen: Isa,
    },
}

static CHOSEN: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// Every set, the least first.
    pub const ALL: [Self; 5] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16, Self::Amx];

    /// The most that this machine has.
    pub fn detect() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma");
            let avx512 = avx2 && has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw");
            match self {
                Self::Portable => true,
                Self::Avx2 => avx2,
                Self::Avx512 => avx512,
                Self::Avx512Bf16 => avx512 && has!("avx512bf16"),
                Self::Amx => Self::Avx512Bf16.is_available() && crate::amx::is_available(),
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Portable
        }
    }

    /// The name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        Self::ALL.into_iter().find(|isa| isa.as_str() == name).ok_or(IsaError::Unknown)
    }
}

/// Chooses the instruction set of all kernels of this process; without a choice, the first kernel takes the most that the
/// machine has.
///
/// # Errors
/// Where the machine lacks it, or another one is in use.
pub fn choose(isa: Isa) -> Result<(), IsaError> {
    if !isa.is_available() {
        return Err(IsaError::Lacking { asked: isa, most: Isa::detect() });
    }
    let chosen = *CHOSEN.get_or_init(|| isa);
    if chosen == isa { Ok(()) } else { Err(IsaError::Chosen { chosen }) }
}

/// The instruction set in use.
#[inline]
pub fn current() -> Isa {
    *CHOSEN.get_or_init(Isa::detect)
}

/// Defines a function three times, for AVX-512, for AVX2 with FMA and for any processor, and picks one at run time.
///
/// The body is plain safe code over slices, which the compiler vectorises for each instruction set. It must keep sums in
/// a fixed number of lanes where it wants the same order of summation everywhere.
macro_rules! vectorized {
    (
        $(#[$meta:meta])*
        $vis:vis fn $name:ident $(<$($element:ident: $bound:path),+>)? ($($arg:ident: $type:ty),* $(,)?) $(-> $out:ty)?
        $body:block
    ) => {
        $(#[$meta])*
        $vis fn $name $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512 $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2 $(<$($element: $bound),+>)? ($($arg: $type),*) $(-> $out)? { body($($arg),*) }

            match $crate::isa::current() {
                // SAFETY: the processor has what the instruction set stands for.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 | $crate::isa::Isa::Avx512Bf16 | $crate::isa::Isa::Amx => unsafe {
                    avx512($($arg),*)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use vectorized;

/// Lanes in which sums are kept: one AVX-512 register, two of AVX2.
pub(crate) const LANES: usize = 16;

/// Adds up lanes in pairs, the same way on every processor.
#[inline(always)]
pub(crate) fn sum_lanes(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The dot product of two slices of one length.
#[inline(always)]
pub(crate) fn dot_inline<X: Element, Y: Element>(x: &[X], y: &[Y]) -> f32 {
    // Two registers of sums hide the latency of the addition.
    const WIDE: usize = 2 * LANES;
    let mut sums = [0.0; WIDE];
    let ((x, x_rest), (y, y_rest)) = (x.as_chunks::<WIDE>(), y.as_chunks::<WIDE>());
    for (x, y) in x.iter().zip(y) {
        for i in 0..WIDE {
            sums[i] += x[i].to_f32() * y[i].to_f32();
        }
    }
    let mut lanes = [0.0; LANES];
    for i in 0..LANES {
        lanes[i] = sums[i] + sums[LANES + i];
    }
    let rest: f32 = x_rest.iter().zip(y_rest).map(|(x, y)| x.to_f32() * y.to_f32()).sum();
    sum_lanes(lanes) + rest
}

/// The greatest value of a slice, minus infinity where it is empty.
#[inline(always)]
pub(crate) fn max_inline(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for i in 0..LANES {
            // Not `f32::max`, whose treatment of NaN costs two more instructions; a NaN still reaches the sum of exps.
            lanes[i] = if chunk[i] > lanes[i] { chunk[i] } else { lanes[i] };
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, x| if *x > max { *x } else { max })
}
