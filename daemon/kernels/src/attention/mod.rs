mod backward;
mod forward;
mod heads;
#[cfg(test)]
mod tests;

pub use heads::Heads;

use crate::{element::Element, mat::Mat};

/// Queries per block: scores exist for one block and the keys before its end, so memory is linear in length.
const BLOCK: usize = 64;

/// Causal attention inside each of several sequences packed one after another: `softmax(q · kᵀ / √head_dim) · v`.
///
/// `cu_seqlens` holds where each sequence starts, and last the number of rows. As in FlashAttention (arXiv 2205.14135) the
/// backward pass computes the scores anew from the kept log-sums instead of keeping them.
#[derive(Clone, Copy)]
pub struct Attention<'a, E> {
    /// How columns divide into heads.
    pub heads: Heads,
    /// Where sequences start.
    pub cu_seqlens: &'a [u32],
    /// Queries `[rows, heads · head_dim]`.
    pub q: &'a [E],
    /// Keys `[rows, kv_heads · head_dim]`.
    pub k: &'a [E],
    /// Values, as the keys.
    pub v: &'a [E],
}

/// What the forward pass gave, for the backward pass.
#[derive(Clone, Copy, Debug)]
pub struct Attended<'a, E> {
    /// `[rows, heads · head_dim]`
    pub out: &'a [E],
    /// Per row and query head the logarithm of the sum of the exponentials of the scores: `[rows, heads]`.
    pub log_sums: &'a [f32],
}

/// Where the gradients of q, k and v go, each of the shape of its own.
#[derive(Debug)]
pub struct AttentionGradients<'a> {
    /// The gradient of the queries, in the shape of `q`; written, not added to.
    pub dq: &'a mut [f32],
    /// The gradient of the keys, in the shape of `k`; written, not added to.
    pub dk: &'a mut [f32],
    /// The gradient of the values, in the shape of `v`; written, not added to.
    pub dv: &'a mut [f32],
}

impl<E: Element> Attention<'_, E> {
    /// The number of rows; checks that everything fits together.
    fn rows(&self) -> usize {
        let Heads { q_heads, kv_heads, dim } = self.heads;
        assert!(dim > 0 && kv_heads > 0 && q_heads.is_multiple_of(kv_heads), "heads of attention");
        let rows = self.cu_seqlens.last().map_or(0, |end| *end as usize);
        assert!(self.cu_seqlens.is_sorted() && self.cu_seqlens.first() == Some(&0), "boundaries of sequences");
        let kv_len = rows * self.heads.kv_cols();
        let fits = self.q.len() == rows * self.heads.q_cols() && self.k.len() == kv_len && self.v.len() == kv_len;
        assert!(fits, "operands of attention");
        rows
    }

    fn sequences(&self) -> impl Iterator<Item = (usize, usize)> {
        self.cu_seqlens.windows(2).map(|pair| (pair[0] as usize, pair[1] as usize)).filter(|(start, end)| start < end)
    }

    /// The keys of a sequence up to `last`.
    fn keys(&self, start: usize, last: usize, kv_head: usize) -> Mat<'_, E> {
        self.head_of(self.k, start, last, kv_head)
    }

    fn values(&self, start: usize, last: usize, kv_head: usize) -> Mat<'_, E> {
        self.head_of(self.v, start, last, kv_head)
    }

    fn head_of<'a>(&self, of: &'a [E], start: usize, last: usize, kv_head: usize) -> Mat<'a, E> {
        let cols = self.heads.kv_cols();
        Mat::strided(&of[start * cols + kv_head * self.heads.dim..], last, self.heads.dim, cols)
    }

    /// The columns of the queries that share a key head, as rows of one head each: `[rows · group, head_dim]`.
    fn gather_group<T: Copy>(&self, of: &[T], from: usize, rows: usize, kv_head: usize) -> Vec<T> {
        let (cols, width) = (self.heads.q_cols(), self.heads.group_cols());
        let mut gathered = Vec::with_capacity(rows * width);
        for row in of[from * cols..(from + rows) * cols].chunks_exact(cols) {
            gathered.extend_from_slice(&row[kv_head * width..(kv_head + 1) * width]);
        }
        gathered
    }
}
