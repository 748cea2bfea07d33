//! What products are computed with: the precision of their operands, and the processor's instructions.

pub use perennial_kernels::{Isa, IsaError, Precision, choose_isa, current_isa};
