//! CPU kernels of the learner: plain functions over slices, forth and back, with f32 sums.
//!
//! Rows are the tokens of several sequences one after another, without padding. Operands of products are f32 or bf16
//! ([`Precision`]); what is element-wise takes either and computes in f32.
//!
//! | forth | back |
//! |---|---|
//! | [`Weight::product`], [`products()`] | [`Weight::transposed_product`]: never a gradient of the weight |
//! | [`gemm()`] | [`gemm()`] |
//! | [`rms_norm()`] | [`rms_norm_backward()`] |
//! | [`rope()`] | [`rope()`], the other way |
//! | [`swiglu()`] | [`swiglu_backward()`] |
//! | [`Attention::forward`] | [`Attention::backward`] |
//! | [`token_logprobs()`] | [`token_logprobs_and_gradients()`]: in one pass |
//! | [`divergences_and_gradients()`] | in the same pass |
//! | [`cached_attention()`] | [`Attention::backward`], over whole sequences |
//!
//! Results depend on the inputs and on the instruction set ([`Isa`]), never on the number of threads: work is cut into pieces
//! by shape alone, and each sum is taken in a fixed order.

#[cfg(target_arch = "x86_64")]
mod amx;
mod attention;
mod cache;
mod cached_attention;
mod convert;
mod divergence;
mod element;
mod exp;
mod gemm;
mod isa;
mod mat;
mod pool;
mod rms_norm;
mod rope;
mod rows;
mod scratch;
mod softmax;
mod swiglu;
mod token_logprobs;
mod vectorized;
mod weight;
mod weight_bytes;
mod weight_parts;
mod weight_products;

#[cfg(test)]
mod testing;

pub use attention::{Attended, Attention, AttentionGradients, Heads};
pub use cache::{KvCache, Span};
pub use cached_attention::cached_attention;
pub use convert::convert;
pub use divergence::divergences_and_gradients;
pub use element::{Element, Precision};
pub use gemm::{Into, Shared, Threads, gemm};
pub use isa::{Isa, IsaError, choose as choose_isa, current as current_isa};
pub use mat::{Mat, MatMut};
pub use pool::{in_pool, in_wakeful_pool};
pub use rms_norm::{rms_norm, rms_norm_backward};
pub use rope::{RopeTable, Turn, rope};
pub use softmax::Softmax;
pub use swiglu::{swiglu, swiglu_backward};
pub use token_logprobs::{token_logprobs, token_logprobs_and_gradients};
pub use weight::Weight;
pub use weight_bytes::WeightBytes;
pub use weight_products::{WeightProduct, products};
