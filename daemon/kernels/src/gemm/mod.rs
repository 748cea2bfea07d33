//! Matrix products, in the manner of BLIS (Van Zee and van de Geijn, 2015).
//!
//! One operand, the *right* one, is packed into panels that are as wide as a tile of the result; of the other, the *left*
//! one, rows are read as they lie. Either operand can be either: `c = a · b` is `cᵀ = bᵀ · aᵀ`. So a weight that is multiplied
//! with few rows is read once, in place, whereas the rows are packed; unless the weight was packed once for all products.
//!
//! Each element is summed along the inner dimension in order, in stretches of [`DEPTH`], whichever operand is packed, and
//! whatever is computed beside it: a row's result does not depend on the other rows, nor on the number of threads.

mod job;
mod kernel;
mod multiply;
mod operand;
mod output;
mod panels;
mod pass;
mod prepacked;
mod shared;

#[cfg(test)]
mod tests;

use self::multiply::multiply;
pub(crate) use self::prepacked::Prepacked;
pub use self::shared::Shared;
use crate::{
    element::{Element, Precision},
    isa::Isa,
    mat::{Mat, MatMut},
};

/// Inner dimension per pass: a panel, and what a task reads of the left operand, stay in the second-level cache. Longer sums
/// are cut here.
const DEPTH: usize = 2048;
/// Calls a function of a kernel with the one that is in use for a precision.
macro_rules! with_kernel {
    ($precision:expr, $function:ident, [$($element:ty),+], ($($arg:expr),+)) => {
        match ($crate::isa::current(), $precision) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Amx, Precision::Bf16) => $function::<kernel::Amx, $($element),+>($($arg),+),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512Bf16, Precision::Bf16) => $function::<kernel::Avx512Bf16, $($element),+>($($arg),+),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512 | Isa::Avx512Bf16 | Isa::Amx, _) => $function::<kernel::Avx512, $($element),+>($($arg),+),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, _) => $function::<kernel::Avx2, $($element),+>($($arg),+),
            _ => $function::<kernel::Portable, $($element),+>($($arg),+),
        }
    };
}
use with_kernel;

/// What a product does to the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// Overwrites it, whatever it holds.
    Set,
    /// Adds to what it holds.
    Add,
}

/// Where a product runs. The result is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// On the threads of the current rayon pool.
    Pool,
    /// On the calling thread, which is one of several at work.
    One,
}

/// A product: `dst (+)= factor · (lhs · rhs)`, and where there is a second pair of operands, that of their product and the
/// first's: what a second pass over the destination would add, as that of an adapter beside a weight.
pub(crate) struct Product<'a, L, R> {
    pub(crate) dst: MatMut<'a>,
    pub(crate) into: Into,
    pub(crate) factor: f32,
    pub(crate) lhs: &'a Shared<'a, L>,
    pub(crate) rhs: Mat<'a, R>,
    /// The transpose of `rhs`, packed.
    pub(crate) prepacked: Option<&'a Prepacked>,
    pub(crate) second: Option<Second<'a, L, R>>,
}

/// The second pair of operands of a product.
#[derive(Clone, Copy)]
pub(crate) struct Second<'a, L, R> {
    pub(crate) lhs: Mat<'a, L>,
    pub(crate) rhs: Mat<'a, R>,
    /// As that of a [`Product`].
    pub(crate) prepacked: Option<&'a Prepacked>,
}

/// `dst (+)= factor · lhs · rhs`. In [`Precision::Bf16`] operands are rounded to bf16, where the processor multiplies those;
/// sums are f32.
///
/// # Panics
/// Where dimensions do not agree: a bug of the caller.
pub fn gemm<L: Element, R: Element>(
    dst: MatMut<'_>,
    into: Into,
    factor: f32,
    lhs: Mat<'_, L>,
    rhs: Mat<'_, R>,
    precision: Precision,
    threads: Threads,
) {
    let lhs = &Shared::new(lhs, 1);
    gemm_all(vec![Product { dst, into, factor, lhs, rhs, prepacked: None, second: None }], precision, threads);
}

/// Several products, none of which reads what another writes, as if each were computed by [`gemm`]: threads wait for each
/// other once and not after each.
pub(crate) fn gemm_all<L: Element, R: Element>(
    products: Vec<Product<'_, L, R>>,
    precision: Precision,
    threads: Threads,
) {
    with_kernel!(precision, multiply, [L, R], (products, threads))
}
