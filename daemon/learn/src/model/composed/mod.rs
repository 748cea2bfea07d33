//! The decoder's passes as compositions of candle's tensor operations: for accelerators, and as the plain form that the
//! passes by hand are compared with.
//!
//! A layer's backward pass is candle's autograd over that layer alone, computed again from the residual stream before it
//! (activation checkpointing, arXiv 1604.06174): graphs stay shallow, and memory is bounded by one layer. Frozen matrices are
//! multiplied by an operation of its own, for which candle takes no gradient of the matrix; attention goes back by its
//! formula, since its graph would hold several copies of the scores.
//!
//! Weights are in the decoder's precision; on the CPU, for whose bf16 candle has no product, in f32.

mod adapter_tensors;
mod attention;
mod decoder;
mod delta;
mod gather;
mod gradients;
mod head;
mod layer;
mod ops;
mod product;
mod tape;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use adapter_tensors::AdapterTensors;
pub(crate) use decoder::Decoder;
pub(crate) use delta::{ComposedDelta, with_bias};
pub(crate) use gather::Gather;
