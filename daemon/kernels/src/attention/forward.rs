use rayon::prelude::*;

use super::{Attention, BLOCK, Heads};
use crate::{
    element::Element,
    exp::softmax,
    gemm::{Into, Threads, gemm},
    mat::{Mat, MatMut},
};

/// Some queries of one sequence: rows from `start + first` to `start + last`.
struct Block<'a, E> {
    start: usize,
    first: usize,
    last: usize,
    out: &'a mut [E],
    log_sums: &'a mut [f32],
}

impl<E: Element> Attention<'_, E> {
    /// Fills `out`, of the shape of q, and gives the log-sums of `Attended`.
    ///
    /// # Panics
    /// Where shapes or `cu_seqlens` do not fit together.
    pub fn forward(&self, mut out: &mut [E]) -> Vec<f32> {
        let rows = self.rows();
        let (q_cols, q_heads) = (self.heads.q_cols(), self.heads.q_heads);
        assert_eq!(out.len(), self.q.len(), "the result of attention");
        let mut all_log_sums = vec![0.0; rows * q_heads];
        let mut log_sums = all_log_sums.as_mut_slice();
        let mut blocks = Vec::new();
        for (start, end) in self.sequences() {
            for first in (0..end - start).step_by(BLOCK) {
                let last = (first + BLOCK).min(end - start);
                let (block_out, block_sums);
                (block_out, out) = out.split_at_mut((last - first) * q_cols);
                (block_sums, log_sums) = log_sums.split_at_mut((last - first) * q_heads);
                blocks.push(Block { start, first, last, out: block_out, log_sums: block_sums });
            }
        }
        blocks.into_par_iter().for_each(|block| self.forward_block(block));
        all_log_sums
    }

    fn forward_block(&self, block: Block<'_, E>) {
        let Block { start, first, last, out, log_sums } = block;
        let Heads { q_heads, kv_heads, dim } = self.heads;
        let (group, q_cols, rows) = (self.heads.group(), self.heads.q_cols(), last - first);
        let count = rows * group;
        let (mut scores, mut attended) = (vec![0.0; count * last], vec![0.0; count * dim]);
        for kv_head in 0..kv_heads {
            let queries = self.gather_group(self.q, start + first, rows, kv_head);
            let (queries, keys) = (Mat::new(&queries, count, dim), self.keys(start, last, kv_head));
            let dst = MatMut::new(&mut scores, count, last);
            gemm(dst, Into::Set, 1.0, queries, keys.t(), E::PRECISION, Threads::One);
            for (at, scores) in scores.chunks_exact_mut(last).enumerate() {
                let (row, member) = (at / group, at % group);
                let (seen, hidden) = scores.split_at_mut(first + row + 1);
                log_sums[row * q_heads + kv_head * group + member] = softmax(seen, self.heads.scale());
                hidden.fill(0.0);
            }
            let (scores, values) = (Mat::new(&scores, count, last), self.values(start, last, kv_head));
            let dst = MatMut::new(&mut attended, count, dim);
            gemm(dst, Into::Set, 1.0, scores, values, E::PRECISION, Threads::One);
            let width = self.heads.group_cols();
            for (row, attended) in attended.chunks_exact(width).enumerate() {
                let out = &mut out[row * q_cols + kv_head * width..][..width];
                out.iter_mut().zip(attended).for_each(|(out, value)| *out = E::from_f32(*value));
            }
        }
    }
}
