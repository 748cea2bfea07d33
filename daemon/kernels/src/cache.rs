use std::sync::Arc;

use candle_core::{Result, bail};
use half::bf16;

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

/// Some tokens' keys and values in every layer.
#[derive(Debug)]
struct Block {
    /// Per layer and head, `[tokens, head_dim]`.
    keys: Vec<Column>,
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

    fn extend(&mut self, more: &[f32]) {
        match self {
            Self::F32(values) => values.extend_from_slice(more),
            Self::Bf16(values) => values.extend(more.iter().map(|value| bf16::from_f32(*value))),
        }
    }
}

#[derive(Debug)]
struct Sequence {
    /// Blocks shared with the sequences forked from the same one, with how many of their tokens count.
    shared: Vec<(Arc<Block>, usize)>,
    own: Block,
}

/// Keys and values of one head, `[tokens, head_dim]` each.
pub(crate) enum Segment<'a> {
    F32 { keys: &'a [f32], values: &'a [f32] },
    Bf16 { keys: &'a [bf16], values: &'a [bf16] },
}

impl Block {
    fn new(precision: Precision, heads: usize, values_reserved: usize) -> Self {
        let empty = || (0..heads).map(|_| Column::with_capacity(precision, values_reserved)).collect();
        Self { keys: empty(), values: empty() }
    }

    fn truncate(&mut self, values: usize) {
        self.keys.iter_mut().chain(&mut self.values).for_each(|head| head.truncate(values));
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
        let own = Block::new(self.precision, self.layers * self.kv_heads, tokens_reserved * self.head_dim);
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
            let own = std::mem::replace(&mut parent.own, Block::new(precision, heads, 0));
            parent.shared.push((Arc::new(own), own_tokens));
        }
        let shared = parent.shared.clone();
        Ok(self.put(Sequence { shared, own: Block::new(precision, heads, tokens_reserved * head_dim) }))
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
        sequence.own.truncate(left * head_dim);
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

    pub(crate) fn layer_len(&self, slot: usize, layer: usize) -> Result<usize> {
        let sequence = self.get(slot)?;
        let Some(keys) = sequence.own.keys.get(layer * self.kv_heads) else {
            bail!("layer {layer} of a key-value cache with {} layers", self.layers);
        };
        Ok(sequence.shared_len() + keys.len() / self.head_dim)
    }

    /// Appends rows `[rows, kv_heads · head_dim]` of keys and values to one layer of a sequence.
    pub(crate) fn append(&mut self, slot: usize, layer: usize, keys: &[f32], values: &[f32]) -> Result<()> {
        let (kv_heads, head_dim) = (self.kv_heads, self.head_dim);
        let own = &mut self.get_mut(slot)?.own;
        for head in 0..kv_heads {
            let at = layer * kv_heads + head;
            let columns = head * head_dim..(head + 1) * head_dim;
            let (Some(own_keys), Some(own_values)) = (own.keys.get_mut(at), own.values.get_mut(at)) else {
                bail!("layer {layer} is outside of the key-value cache");
            };
            let rows = keys.chunks_exact(kv_heads * head_dim).zip(values.chunks_exact(kv_heads * head_dim));
            for (keys, values) in rows {
                own_keys.extend(&keys[columns.clone()]);
                own_values.extend(&values[columns.clone()]);
            }
        }
        Ok(())
    }

    /// The keys and values of one head in order, in as many pieces as they are stored in.
    pub(crate) fn segments<'a>(&'a self, slot: usize, layer: usize, head: usize) -> Result<Vec<Segment<'a>>> {
        let sequence = self.get(slot)?;
        let at = layer * self.kv_heads + head;
        let shared = sequence.shared.iter().map(|(block, tokens)| (&**block, *tokens * self.head_dim));
        let own = std::iter::once((&sequence.own, sequence.own.keys[at].len()));
        let segment = |(block, values): (&'a Block, usize)| match (&block.keys[at], &block.values[at]) {
            (Column::F32(keys), Column::F32(of)) => Ok(Segment::F32 { keys: &keys[..values], values: &of[..values] }),
            (Column::Bf16(keys), Column::Bf16(of)) => {
                Ok(Segment::Bf16 { keys: &keys[..values], values: &of[..values] })
            }
            _ => bail!("keys and values of layer {layer} are kept in different precisions"),
        };
        shared.chain(own).filter(|(_, values)| *values > 0).map(segment).collect()
    }
}
