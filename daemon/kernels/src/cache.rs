use std::sync::Arc;

use candle_core::{Result, bail};
use half::bf16;

use crate::{
    element::{Element, Precision},
    isa::LANES,
};

/// Keys and values of sequences under generation, one slot per sequence.
///
/// Sequences may have different lengths, share the beginning that they were forked from, be cut back, and leave at any
/// time. [`cached_attention`](crate::cached_attention) appends to it layer by layer.
#[derive(Debug)]
pub struct KvCache {
    precision: Precision,
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    slots: Vec<Option<Sequence>>,
}

/// New rows of one sequence in a batch: the next `rows` rows belong to the sequence in `slot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The slot of the sequence in the cache.
    pub slot: usize,
    /// How many rows of the batch are its next tokens, at least one.
    pub rows: usize,
}

/// Tokens whose keys are in one block, so that their scores are a vector.
pub(crate) const KEYS_TOGETHER: usize = LANES;

/// Some tokens' keys and values in every layer.
#[derive(Debug)]
struct Block {
    /// Per layer and head, blocks of `[head_dim, KEYS_TOGETHER]`. What a last block has over is anything.
    keys: Vec<Column>,
    /// Per layer and head, `[tokens, head_dim]`.
    values: Vec<Column>,
}

/// Numbers in the precision that the cache keeps them in.
#[derive(Debug)]
enum Column {
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

    fn len(&self) -> usize {
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

    fn extend<E: Element>(&mut self, more: &[E]) {
        match self {
            Self::F32(values) => extend(values, more),
            Self::Bf16(values) => extend(values, more),
        }
    }

    /// Puts the key of a token in its place.
    fn put_key<E: Element>(&mut self, token: usize, key: &[E]) {
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

#[derive(Debug)]
struct Sequence {
    /// Blocks shared with the sequences forked from the same one, with how many of their tokens count.
    shared: Vec<(Arc<Block>, usize)>,
    own: Block,
}

/// Keys of one head, blocks of `[head_dim, KEYS_TOGETHER]`, and its values, `[tokens, head_dim]`.
pub(crate) enum Segment<'a> {
    F32 { keys: &'a [f32], values: &'a [f32] },
    Bf16 { keys: &'a [bf16], values: &'a [bf16] },
}

impl Block {
    fn new(precision: Precision, heads: usize, tokens_reserved: usize, head_dim: usize) -> Self {
        let empty = |tokens: usize| (0..heads).map(|_| Column::with_capacity(precision, tokens * head_dim)).collect();
        Self { keys: empty(tokens_reserved.next_multiple_of(KEYS_TOGETHER)), values: empty(tokens_reserved) }
    }

    fn truncate(&mut self, tokens: usize, head_dim: usize) {
        self.keys.iter_mut().for_each(|head| head.truncate(tokens.next_multiple_of(KEYS_TOGETHER) * head_dim));
        self.values.iter_mut().for_each(|head| head.truncate(tokens * head_dim));
    }
}

impl Sequence {
    fn shared_len(&self) -> usize {
        self.shared.iter().map(|(_, tokens)| tokens).sum()
    }
}

impl KvCache {
    /// An empty cache for a model of `layers` layers with `kv_heads` key heads of `head_dim` values each, which are kept in
    /// this precision.
    pub fn new(precision: Precision, layers: usize, kv_heads: usize, head_dim: usize) -> Self {
        Self { precision, layers, kv_heads, head_dim, slots: Vec::new() }
    }

    /// Adds an empty sequence with room for `tokens_reserved` tokens, and gives its slot. It grows beyond that at the cost
    /// of copying.
    pub fn insert(&mut self, tokens_reserved: usize) -> usize {
        let own = Block::new(self.precision, self.layers * self.kv_heads, tokens_reserved, self.head_dim);
        self.put(Sequence { shared: Vec::new(), own })
    }

    /// Adds a sequence that begins with all tokens of the one in `slot`, without copying them.
    ///
    /// # Errors
    /// Where the slot is empty.
    pub fn fork(&mut self, slot: usize, tokens_reserved: usize) -> Result<usize> {
        let (precision, heads) = (self.precision, self.layers * self.kv_heads);
        let (tokens, head_dim) = (self.len(slot)?, self.head_dim);
        let parent = self.get_mut(slot)?;
        let own_tokens = tokens - parent.shared_len();
        if own_tokens > 0 {
            let own = std::mem::replace(&mut parent.own, Block::new(precision, heads, 0, head_dim));
            parent.shared.push((Arc::new(own), own_tokens));
        }
        let shared = parent.shared.clone();
        Ok(self.put(Sequence { shared, own: Block::new(precision, heads, tokens_reserved, head_dim) }))
    }

    /// How many tokens of the sequence have been through every layer: the position of its next token.
    ///
    /// # Errors
    /// Where the slot is empty.
    pub fn len(&self, slot: usize) -> Result<usize> {
        self.layer_len(slot, self.layers.saturating_sub(1))
    }

    /// Whether no slot is in use.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    /// Cuts the sequence back to its first `tokens` tokens, in every layer; a longer `tokens` changes nothing.
    ///
    /// # Errors
    /// Where the slot is empty.
    pub fn truncate(&mut self, slot: usize, tokens: usize) -> Result<()> {
        let head_dim = self.head_dim;
        let sequence = self.get_mut(slot)?;
        let mut left = tokens;
        for (_, counted) in &mut sequence.shared {
            *counted = (*counted).min(left);
            left -= *counted;
        }
        sequence.shared.retain(|(_, counted)| *counted > 0);
        sequence.own.truncate(left, head_dim);
        Ok(())
    }

    /// Drops the sequence in `slot`, if there is one; the slot may be given to another.
    pub fn remove(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = None;
        }
    }

    fn put(&mut self, sequence: Sequence) -> usize {
        if let Some(free) = self.slots.iter().position(Option::is_none) {
            self.slots[free] = Some(sequence);
            return free;
        }
        self.slots.push(Some(sequence));
        self.slots.len() - 1
    }

    fn get(&self, slot: usize) -> Result<&Sequence> {
        match self.slots.get(slot) {
            Some(Some(sequence)) => Ok(sequence),
            _ => bail!("no sequence in slot {slot} of the key-value cache"),
        }
    }

    fn get_mut(&mut self, slot: usize) -> Result<&mut Sequence> {
        match self.slots.get_mut(slot) {
            Some(Some(sequence)) => Ok(sequence),
            _ => bail!("no sequence in slot {slot} of the key-value cache"),
        }
    }

    pub(crate) fn heads(&self) -> (usize, usize) {
        (self.kv_heads, self.head_dim)
    }

    fn layer_len(&self, slot: usize, layer: usize) -> Result<usize> {
        let sequence = self.get(slot)?;
        let Some(values) = sequence.own.values.get(layer * self.kv_heads) else {
            bail!("layer {layer} of a key-value cache with {} layers", self.layers);
        };
        Ok(sequence.shared_len() + values.len() / self.head_dim)
    }

    /// One layer of the sequences in these slots, in this order: to be worked on at the same time.
    pub(crate) fn layers_mut(
        &mut self,
        layer: usize,
        slots: impl Iterator<Item = usize>,
    ) -> Result<Vec<CachedLayer<'_>>> {
        let (layers, kv_heads, head_dim) = (self.layers, self.kv_heads, self.head_dim);
        if layer >= layers {
            bail!("layer {layer} of a key-value cache with {layers} layers");
        }
        let mut sequences: Vec<Option<&mut Sequence>> = self.slots.iter_mut().map(Option::as_mut).collect();
        slots
            .map(|slot| match sequences.get_mut(slot).and_then(Option::take) {
                Some(sequence) => Ok(CachedLayer { sequence, first: layer * kv_heads, kv_heads, head_dim }),
                None => bail!("no sequence in slot {slot} of the key-value cache, or it is asked for twice"),
            })
            .collect()
    }
}

/// One layer of one sequence.
pub(crate) struct CachedLayer<'a> {
    sequence: &'a mut Sequence,
    /// The place of the layer's first head.
    first: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl CachedLayer<'_> {
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
