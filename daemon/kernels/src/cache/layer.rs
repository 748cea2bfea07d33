use half::bf16;

use super::block::{Column, KEYS_TOGETHER, Sequence};
use crate::element::Element;

/// Keys of one head, blocks of `[head_dim, KEYS_TOGETHER]`, and its values, `[tokens, head_dim]`.
pub(crate) enum Segment<'a> {
    F32 { keys: &'a [f32], values: &'a [f32] },
    Bf16 { keys: &'a [bf16], values: &'a [bf16] },
}

/// One layer of one sequence.
pub(crate) struct CachedLayer<'a> {
    sequence: &'a mut Sequence,
    /// The place of the layer's first head.
    first: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl<'a> CachedLayer<'a> {
    pub(super) fn new(sequence: &'a mut Sequence, layer: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self { sequence, first: layer * kv_heads, kv_heads, head_dim }
    }

    /// How many tokens it holds.
    pub(crate) fn len(&self) -> usize {
        self.sequence.shared_len() + self.sequence.own.values[self.first].len() / self.head_dim
    }

    /// Appends rows `[rows, kv_heads · head_dim]` of keys and values.
    pub(crate) fn append<E: Element>(&mut self, keys: &[E], values: &[E]) {
        let head_dim = self.head_dim;
        let heads = self.first..self.first + self.kv_heads;
        let own = &mut self.sequence.own;
        let own = own.keys[heads.clone()].iter_mut().zip(&mut own.values[heads]);
        for (head, (own_keys, own_values)) in own.enumerate() {
            let columns = head * head_dim..(head + 1) * head_dim;
            let rows = keys.chunks_exact(self.kv_heads * head_dim).zip(values.chunks_exact(self.kv_heads * head_dim));
            for (keys, values) in rows {
                own_keys.put_key(own_values.len() / head_dim, &keys[columns.clone()]);
                own_values.extend(&values[columns.clone()]);
            }
        }
    }

    /// The keys and values of one head in order, in as many pieces as they are stored in.
    pub(crate) fn segments(&self, head: usize) -> impl Iterator<Item = Segment<'_>> {
        let (at, head_dim) = (self.first + head, self.head_dim);
        let shared = self.sequence.shared.iter().map(|(block, tokens)| (&**block, *tokens));
        let own = std::iter::once((&self.sequence.own, self.sequence.own.values[at].len() / head_dim));
        let segments = shared.chain(own).filter(|(_, tokens)| *tokens > 0);
        segments.filter_map(move |(block, tokens)| {
            let (of_keys, of_values) = (tokens.next_multiple_of(KEYS_TOGETHER) * head_dim, tokens * head_dim);
            match (&block.keys[at], &block.values[at]) {
                (Column::F32(keys), Column::F32(values)) => {
                    Some(Segment::F32 { keys: &keys[..of_keys], values: &values[..of_values] })
                }
                (Column::Bf16(keys), Column::Bf16(values)) => {
                    Some(Segment::Bf16 { keys: &keys[..of_keys], values: &values[..of_values] })
                }
                // All columns of a cache are made in its one precision.
                _ => None,
            }
        })
    }
}
