mod block;
mod layer;

use std::sync::Arc;

use candle_core::{Result, bail};

use self::block::{Block, Sequence};
pub(crate) use self::{
    block::KEYS_TOGETHER,
    layer::{CachedLayer, Segment},
};
use crate::element::Precision;

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
                Some(sequence) => Ok(CachedLayer::new(sequence, layer, kv_heads, head_dim)),
                None => bail!("no sequence in slot {slot} of the key-value cache, or it is asked for twice"),
            })
            .collect()
    }
}
