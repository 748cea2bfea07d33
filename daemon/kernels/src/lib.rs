//! CPU kernels of the learner and their candle custom ops.
//!
//! Every op takes and gives f32 CPU tensors of shape `[rows, dim]`, where the rows are the tokens of several sequences one
//! after another, without padding. The ops that training runs through are differentiable with hand-written backward
//! passes that never compute a gradient for a frozen weight:
//!
//! | op | differentiable in |
//! |---|---|
//! | [`frozen_linear()`] | x |
//! | [`lora_linear()`] | x, a, b |
//! | [`rms_norm()`] | x |
//! | [`rope()`] | x |
//! | [`swiglu()`] | gate, up |
//! | [`packed_attention()`] | q, k, v |
//! | [`token_logprobs()`] | h |
//! | [`cached_attention()`] | nothing: inference only |
//!
//! Results depend on the inputs and on the instruction set, never on the number of threads: work is cut into pieces of a
//! fixed size, and each sum is taken in a fixed order.

mod attention;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod cache;
mod cached_attention;
mod exp;
mod frozen_linear;
mod gemm;
mod isa;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod lora_linear;
mod operand;
mod rms_norm;
mod rope;
mod skinny;
mod softmax;
mod swiglu;
mod token_logprobs;

#[cfg(test)]
mod testing;

pub use attention::packed_attention;
pub use cache::{KvCache, Span};
pub use cached_attention::cached_attention;
pub use frozen_linear::frozen_linear;
pub use lora_linear::lora_linear;
pub use rms_norm::rms_norm;
pub use rope::{RopeTable, rope};
pub use skinny::independent_rows_max;
pub use softmax::Softmax;
pub use swiglu::swiglu;
pub use token_logprobs::token_logprobs;
