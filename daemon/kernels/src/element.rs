use half::bf16;

use crate::{
    isa::{self, Isa},
    scratch::Scratch,
};

/// What operands of products are rounded to before they are multiplied. Sums are always f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits of significand.
    F32,
    /// 8 bits of significand.
    Bf16,
}

impl Precision {
    /// bf16 where the instruction set in use multiplies it, else f32.
    pub fn fastest() -> Self {
        if isa::current() >= Isa::Avx512Bf16 { Self::Bf16 } else { Self::F32 }
    }

    /// The name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// A type of numbers that kernels read and write; they compute in f32.
pub trait Element: Copy + Default + Send + Sync + Scratch + 'static {
    /// What a product of such numbers is computed in.
    const PRECISION: Precision;

    /// The value, exactly.
    fn to_f32(self) -> f32;

    /// The nearest value; of two as near, the even one.
    fn from_f32(value: f32) -> Self;

    #[doc(hidden)]
    fn as_f32(values: &[Self]) -> Option<&[f32]>;

    #[doc(hidden)]
    fn as_bf16(values: &[Self]) -> Option<&[bf16]>;

    /// The same slice, where it holds this type.
    #[doc(hidden)]
    fn of_slice<T: Element>(values: &[T]) -> Option<&[Self]>;
}

impl Element for f32 {
    const PRECISION: Precision = Precision::F32;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    fn as_f32(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn as_bf16(_: &[Self]) -> Option<&[bf16]> {
        None
    }

    fn of_slice<T: Element>(values: &[T]) -> Option<&[Self]> {
        T::as_f32(values)
    }
}

impl Element for bf16 {
    const PRECISION: Precision = Precision::Bf16;

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    /// In a form that vectorises.
    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
        // Rounding may carry a NaN's significand out: a quiet one stands for all of them.
        let nan = (bits >> 16) | 0x40;
        Self::from_bits(if value.is_nan() { nan as u16 } else { rounded as u16 })
    }

    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn as_bf16(values: &[Self]) -> Option<&[bf16]> {
        Some(values)
    }

    fn of_slice<T: Element>(values: &[T]) -> Option<&[Self]> {
        T::as_bf16(values)
    }
}
