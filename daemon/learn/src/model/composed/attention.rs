use candle_core::{D, DType, Device, Result, Tensor};
use perennial_kernels::Heads;

use super::Gather;
use crate::model::Packing;

/// The most scores that exist at one time, several times over, but for those of one sequence.
const SCORES_MAX: usize = 1 << 27;

/// What is added to the score of a key that a query must not see.
const UNSEEN: f64 = 1e30;

/// Causal attention of packed sequences, each to itself alone. Sequences of about the same length are computed together,
/// filled up to the longest of them at their ends, where no query of their own looks.
pub(super) struct Attention {
    heads: Heads,
    blocks: Vec<Block>,
    /// The rows of all blocks' places.
    spread: Gather,
    /// The place from which each row's result is taken: the first of those that it stands for.
    collect: Gather,
}

/// Some sequences filled up to one length.
struct Block {
    /// Where its places start.
    start: usize,
    sequences: usize,
    len: usize,
}

impl Attention {
    pub(super) fn new(heads: Heads, packing: Packing<'_>, device: &Device) -> Result<Self> {
        let (cu_seqlens, spread) = match packing {
            Packing::Sequences(cu_seqlens) => (cu_seqlens, None),
            Packing::Branches(branches) => branches.spread_rows(),
        };
        let row_of = |at: u32| spread.map_or(at, |spread| spread[at as usize]);
        let mut sequences: Vec<(u32, u32)> = cu_seqlens.windows(2).map(|ends| (ends[0], ends[1])).collect();
        sequences.retain(|(start, end)| start < end);
        sequences.sort_by_key(|(start, end)| end - start);

        let (mut blocks, mut places) = (Vec::new(), Vec::new());
        for sequences in sequences.chunk_by(|(start, end), (next, next_end)| {
            (end - start).next_power_of_two() == (next_end - next).next_power_of_two()
        }) {
            let len = sequences.last().map_or(0, |(start, end)| (end - start) as usize);
            let together = (SCORES_MAX / (heads.q_heads * len * len)).max(1);
            for sequences in sequences.chunks(together) {
                blocks.push(Block { start: places.len(), sequences: sequences.len(), len });
                for (start, end) in sequences {
                    let filled = places.len() + len;
                    places.extend((*start..*end).map(|at| Some(row_of(at))));
                    places.resize(filled, None);
                }
            }
        }
        let rows = places.iter().flatten().max().map_or(0, |last| *last as usize + 1);
        let mut first = vec![None; rows];
        for (place, row) in (0..).zip(&places) {
            if let Some(row) = row {
                first[*row as usize].get_or_insert(place);
            }
        }
        let spread = Gather::new(&places, rows, device)?;
        Ok(Self { heads, blocks, spread, collect: Gather::new(&first, places.len(), device)? })
    }

    /// What each row attends to, for q, k and v `[rows, heads · head_dim]`; as q.
    pub(super) fn forward(&self, qkv: &[Tensor; 3]) -> Result<Tensor> {
        let qkv = self.spread(qkv)?;
        let outs = self.blocks.iter().map(|block| {
            let [q, k, v] = self.operands(block, &qkv)?;
            let out = self.probabilities(block, &q, &k)?.to_dtype(v.dtype())?.matmul(&v)?;
            self.merge_queries(block, &out)
        });
        self.collect.forth(&Tensor::cat(&outs.collect::<Result<Vec<_>>>()?, 0)?)
    }

    /// The gradients of q, k and v, given those of what [`forward`](Self::forward) gives:
    /// with P the probabilities, dV = Pᵀ·dO, dP = dO·Vᵀ, dS = P ∘ (dP − Σ P ∘ dP), dQ = dS·K and dK = dSᵀ·Q.
    pub(super) fn backward(&self, qkv: &[Tensor; 3], d_out: &Tensor) -> Result<[Tensor; 3]> {
        let (qkv, d_out) = (self.spread(qkv)?, self.collect.back(d_out)?);
        let mut parts = [const { Vec::new() }; 3];
        for block in &self.blocks {
            let [q, k, v] = self.operands(block, &qkv)?;
            let (d_out, dtype) = (self.split_queries(block, &block.of(&d_out)?)?, q.dtype());
            let p = self.probabilities(block, &q, &k)?;
            let dv = p.to_dtype(dtype)?.t()?.matmul(&d_out)?;
            let dp = d_out.matmul(&v.t()?)?.to_dtype(DType::F32)?;
            let along = (&p * &dp)?.sum_keepdim(D::Minus1)?;
            let ds = (p * dp.broadcast_sub(&along)?)?.affine(self.scale(), 0.0)?.to_dtype(dtype)?;
            let (dq, dk) = (ds.matmul(&k)?, ds.t()?.matmul(&q)?);
            let own = [self.merge_queries(block, &dq)?, self.merge_keys(block, &dk)?, self.merge_keys(block, &dv)?];
            parts.iter_mut().zip(own).for_each(|(parts, own)| parts.push(own));
        }
        let [dq, dk, dv] = parts.map(|parts| self.spread.back(&Tensor::cat(&parts, 0)?));
        Ok([dq?, dk?, dv?])
    }

    fn scale(&self) -> f64 {
        1.0 / (self.heads.dim as f64).sqrt()
    }

    fn spread(&self, [q, k, v]: &[Tensor; 3]) -> Result<[Tensor; 3]> {
        Ok([self.spread.forth(q)?, self.spread.forth(k)?, self.spread.forth(v)?])
    }

    fn operands(&self, block: &Block, [q, k, v]: &[Tensor; 3]) -> Result<[Tensor; 3]> {
        let [q, k, v] = [block.of(q)?, block.of(k)?, block.of(v)?];
        Ok([self.split_queries(block, &q)?, self.split_keys(block, &k)?, self.split_keys(block, &v)?])
    }

    /// f32 `[sequences, kv_heads, group · len, len]`, of q `[sequences, kv_heads, group · len, head_dim]` and k.
    fn probabilities(&self, block: &Block, q: &Tensor, k: &Tensor) -> Result<Tensor> {
        let scores = q.matmul(&k.t()?)?;
        let shape = scores.shape().clone();
        let scores = scores.to_dtype(DType::F32)?.affine(self.scale(), 0.0)?;
        // 0 where a query looks, −UNSEEN where it must not.
        let mask = Tensor::tril2(block.len, DType::F32, scores.device())?.affine(UNSEEN, -UNSEEN)?;
        let scores = scores.reshape(((), block.len, block.len))?.broadcast_add(&mask)?;
        let above = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        above.broadcast_div(&above.sum_keepdim(D::Minus1)?)?.reshape(shape)
    }

    /// `[places, heads · head_dim]` to `[sequences, kv_heads, group · len, head_dim]`: queries that share keys one after
    /// another.
    fn split_queries(&self, block: &Block, places: &Tensor) -> Result<Tensor> {
        let Heads { q_heads, kv_heads, dim } = self.heads;
        let group = q_heads / kv_heads;
        let places = places.reshape((block.sequences, block.len, kv_heads, group, dim))?;
        places.permute((0, 2, 3, 1, 4))?.reshape((block.sequences, kv_heads, group * block.len, dim))
    }

    /// The way back from [`split_queries`](Self::split_queries).
    fn merge_queries(&self, block: &Block, queries: &Tensor) -> Result<Tensor> {
        let Heads { q_heads, kv_heads, dim } = self.heads;
        let queries = queries.reshape((block.sequences, kv_heads, q_heads / kv_heads, block.len, dim))?;
        queries.permute((0, 3, 1, 2, 4))?.reshape((block.sequences * block.len, q_heads * dim))
    }

    /// `[places, kv_heads · head_dim]` to `[sequences, kv_heads, len, head_dim]`.
    fn split_keys(&self, block: &Block, places: &Tensor) -> Result<Tensor> {
        let Heads { kv_heads, dim, .. } = self.heads;
        places.reshape((block.sequences, block.len, kv_heads, dim))?.transpose(1, 2)?.contiguous()
    }

    /// The way back from [`split_keys`](Self::split_keys).
    fn merge_keys(&self, block: &Block, keys: &Tensor) -> Result<Tensor> {
        let Heads { kv_heads, dim, .. } = self.heads;
        keys.transpose(1, 2)?.reshape((block.sequences * block.len, kv_heads * dim))
    }
}

impl Block {
    fn of(&self, places: &Tensor) -> Result<Tensor> {
        places.narrow(0, self.start, self.sequences * self.len)
    }
}
