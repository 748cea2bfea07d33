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

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod cache;
mod cached_attention;
mod convert;
mod element;
mod exp;
mod gemm;
mod isa;
mod mat;
mod rms_norm;
mod rope;
mod rows;
mod scratch;
mod softmax;
mod swiglu;
mod token_logprobs;
mod weight;

#[cfg(test)]
mod testing;

pub use attention::{Attended, Attention, AttentionGradients, Heads};
pub use cache::{KvCache, Span};
pub use cached_attention::cached_attention;
pub use convert::convert;
pub use element::{Element, Precision};
pub use gemm::{Into, Threads, gemm};
pub use isa::{Isa, IsaError, choose as choose_isa, current as current_isa};
pub use mat::{Mat, MatMut};
pub use rms_norm::{rms_norm, rms_norm_backward};
pub use rope::{RopeTable, Turn, rope};
pub use softmax::Softmax;
pub use swiglu::{swiglu, swiglu_backward};
pub use token_logprobs::{token_logprobs, token_logprobs_and_gradients};
pub use weight::{Shared, Weight};
