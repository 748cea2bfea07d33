/// How the columns of q, k and v divide into heads. The number of query heads is a multiple of that of key heads
/// (grouped-query attention, arXiv 2305.13245).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Heads of the queries; a multiple of `kv_heads`.
    pub q_heads: usize,
    /// Heads of the keys and values, each shared by `q_heads / kv_heads` queries.
    pub kv_heads: usize,
    /// Values per head.
    pub dim: usize,
}

impl Heads {
    /// Query heads per key head.
    pub fn group(&self) -> usize {
        self.q_heads / self.kv_heads
    }

    /// Columns of q.
    pub fn q_cols(&self) -> usize {
        self.q_heads * self.dim
    }

    /// Columns of k and of v.
    pub fn kv_cols(&self) -> usize {
        self.kv_heads * self.dim
    }

    /// Columns of the queries that share a key head.
    pub(super) fn group_cols(&self) -> usize {
        self.group() * self.dim
    }

    pub(crate) fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}
