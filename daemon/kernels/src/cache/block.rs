use std::sync::Arc;

use half::bf16;

use crate::{
    element::{Element, Precision},
    vectorized::LANES,
};

/// Tokens whose keys are in one block, so that their scores are a vector.
pub(crate) const KEYS_TOGETHER: usize = LANES;

/// Some tokens' keys and values in every layer.
#[derive(Debug)]
pub(super) struct Block {
    /// Per layer and head, blocks of `[head_dim, KEYS_TOGETHER]`. What a last block has over is anything.
    pub(super) keys: Vec<Column>,
    /// Per layer and head, `[tokens, head_dim]`.
    pub(super) values: Vec<Column>,
}

/// Numbers in the precision that the cache keeps them in.
#[derive(Debug)]
pub(super) enum Column {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Column {
    fn with_capacity(precision: Precision, values: usize) -> Self {
        match precision {
            Precision::F32 => Self::F32(Vec::with_capacity(values)),
            Precision::Bf16 => Self::Bf16(Vec::with_capacity(values)),
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bf16(values) => values.len(),
        }
    }

    fn truncate(&mut self, len: usize) {
        match self {
            Self::F32(values) => values.truncate(len),
            Self::Bf16(values) => values.truncate(len),
        }
    }

    #[inline]
    pub(super) fn extend<E: Element>(&mut self, more: &[E]) {
        match self {
            Self::F32(values) => extend(values, more),
            Self::Bf16(values) => extend(values, more),
        }
    }

    /// Puts the key of a token in its place.
    #[inline]
    pub(super) fn put_key<E: Element>(&mut self, token: usize, key: &[E]) {
        let (start, lane) = (token / KEYS_TOGETHER * KEYS_TOGETHER * key.len(), token % KEYS_TOGETHER);
        match self {
            Self::F32(keys) => put_lane(keys, start, lane, key),
            Self::Bf16(keys) => put_lane(keys, start, lane, key),
        }
    }
}

fn extend<T: Element, E: Element>(values: &mut Vec<T>, more: &[E]) {
    match T::of_slice(more) {
        Some(more) => values.extend_from_slice(more),
        None => values.extend(more.iter().map(|value| T::from_f32(value.to_f32()))),
    }
}

/// Puts the values of a token into its lane of the block at `start`, which comes to be where it is not there.
fn put_lane<T: Element, E: Element>(blocks: &mut Vec<T>, start: usize, lane: usize, values: &[E]) {
    let end = start + values.len() * KEYS_TOGETHER;
    if blocks.len() < end {
        blocks.resize(end, T::default());
    }
    for (lanes, value) in blocks[start..end].chunks_exact_mut(KEYS_TOGETHER).zip(values) {
        lanes[lane] = T::from_f32(value.to_f32());
    }
}

impl Block {
    pub(super) fn new(precision: Precision, heads: usize, tokens_reserved: usize, head_dim: usize) -> Self {
        let empty = |tokens: usize| (0..heads).map(|_| Column::with_capacity(precision, tokens * head_dim)).collect();
        Self { keys: empty(tokens_reserved.next_multiple_of(KEYS_TOGETHER)), values: empty(tokens_reserved) }
    }

    pub(super) fn truncate(&mut self, tokens: usize, head_dim: usize) {
        self.keys.iter_mut().for_each(|head| head.truncate(tokens.next_multiple_of(KEYS_TOGETHER) * head_dim));
        self.values.iter_mut().for_each(|head| head.truncate(tokens * head_dim));
    }
}

/// A sequence in the cache.
#[derive(Debug)]
pub(super) struct Sequence {
    /// Blocks shared with the sequences forked from the same one, with how many of their tokens count.
    pub(super) shared: Vec<(Arc<Block>, usize)>,
    pub(super) own: Block,
}

impl Sequence {
    pub(super) fn shared_len(&self) -> usize {
        self.shared.iter().map(|(_, tokens)| tokens).sum()
    }
}
