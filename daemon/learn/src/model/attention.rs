use perennial_kernels::{KvCache, Span};

use super::Branches;

/// What the rows of a forward pass may look at.
pub enum Attention<'a> {
    /// Rows are whole sequences, each attending to itself alone; the starts (`cu_seqlens`, first 0, last = rows).
    Packed(&'a [u32]),
    /// Rows are those of sequences that may begin alike, each attending to itself alone.
    Branches(&'a Branches),
    /// Rows are the next tokens of cached sequences, which attend to what is cached and are cached themselves. Positions
    /// must go on from there.
    Cached {
        /// Made by [`Decoder::cache`](super::Decoder::cache).
        cache: &'a mut KvCache,
        /// The sequence of each stretch of rows.
        spans: &'a [Span],
    },
}

/// The rows of a pass that is gone back.
#[derive(Clone, Copy)]
pub enum Packing<'a> {
    /// As [`Attention::Packed`].
    Sequences(&'a [u32]),
    /// As [`Attention::Branches`].
    Branches(&'a Branches),
}

impl<'a> From<Packing<'a>> for Attention<'a> {
    fn from(packing: Packing<'a>) -> Self {
        match packing {
            Packing::Sequences(cu_seqlens) => Attention::Packed(cu_seqlens),
            Packing::Branches(branches) => Attention::Branches(branches),
        }
    }
}
