use std::{fmt, str::FromStr, sync::OnceLock};

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
