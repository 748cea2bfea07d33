use rayon::prelude::*;

use crate::{
    element::Element,
    exp::{exp_scaled, softmax},
    gemm::{Into, Threads, gemm},
    isa::{dot_inline, vectorized},
    mat::{Mat, MatMut},
    rows::rows_per_task,
};

/// Queries per block: scores exist for one block and the keys before its end, so memory is linear in length.
const BLOCK: usize = 64;

/// How the columns of q, k and v divide into heads. The number of query heads is a multiple of that of key heads
/// (grouped-query attention, arXiv 2305.13245).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub q_heads: usize,
    /// Key heads.
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
    fn group_cols(&self) -> usize {
        self.group() * self.dim
    }

    pub(crate) fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

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
    /// As q.
    pub dq: &'a mut [f32],
    /// As k.
    pub dk: &'a mut [f32],
    /// As v.
    pub dv: &'a mut [f32],
}

/// Some queries of one sequence: rows from `start + first` to `start + last`.
struct Block<'a, E> {
    start: usize,
    first: usize,
    last: usize,
    out: &'a mut [E],
    log_sums: &'a mut [f32],
}

impl<E: Element> Attention<'_, E> {
    /// Fills `out`, of the shape of q, and gives the log-sums of [`Attended`].
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

    /// The gradients of q, k and v, given that of the result.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn backward(&self, attended: Attended<'_, E>, d_out: &[f32], gradients: AttentionGradients<'_>) {
        let rows = self.rows();
        assert!(d_out.len() == self.q.len() && attended.out.len() == d_out.len(), "gradients of attention");
        assert_eq!(attended.log_sums.len(), rows * self.heads.q_heads, "log-sums of attention");
        let kv_heads = self.heads.kv_heads;
        let spans: Vec<(usize, usize)> = self.sequences().collect();
        let tasks: Vec<_> = spans.iter().flat_map(|span| (0..kv_heads).map(|head| (*span, head))).collect();
        let groups: Vec<GroupGradients> =
            tasks.par_iter().map(|(span, head)| self.backward_group(*span, *head, attended, d_out)).collect();
        let place = |all: &mut [f32], width: usize, part: fn(&GroupGradients) -> &[f32]| {
            assert_eq!(all.len(), rows * kv_heads * width, "gradients of attention");
            let task_rows = rows_per_task(kv_heads * width);
            all.par_chunks_mut(task_rows * kv_heads * width).enumerate().for_each(|(task, all)| {
                for (at, row) in all.chunks_exact_mut(kv_heads * width).enumerate() {
                    let at = task * task_rows + at;
                    let span = spans.partition_point(|(_, end)| *end <= at);
                    let first = (at - spans[span].0) * width;
                    for (values, group) in row.chunks_exact_mut(width).zip(&groups[span * kv_heads..]) {
                        values.copy_from_slice(&part(group)[first..first + width]);
                    }
                }
            });
        };
        let dim = self.heads.dim;
        place(gradients.dq, self.heads.group_cols(), |group| &group.dq);
        place(gradients.dk, dim, |group| &group.dk);
        place(gradients.dv, dim, |group| &group.dv);
    }

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

    /// The columns of the queries that share a key head, as rows of one head each: `[rows · group, head_dim]`.
    fn gather_group<T: Copy>(&self, of: &[T], from: usize, rows: usize, kv_head: usize) -> Vec<T> {
        let (cols, width) = (self.heads.q_cols(), self.heads.group_cols());
        let mut gathered = Vec::with_capacity(rows * width);
        for row in of[from * cols..(from + rows) * cols].chunks_exact(cols) {
            gathered.extend_from_slice(&row[kv_head * width..(kv_head + 1) * width]);
        }
        gathered
    }

    /// With P the probabilities and dP = dO · Vᵀ: dS = P ∘ (dP − rowsum(dO ∘ O)), dQ = dS · K, dK = dSᵀ · Q, dV = Pᵀ · dO.
    fn backward_group(
        &self,
        (start, end): (usize, usize),
        kv_head: usize,
        attended: Attended<'_, E>,
        d_out: &[f32],
    ) -> GroupGradients {
        let Heads { q_heads, dim, .. } = self.heads;
        let (group, length, scale) = (self.heads.group(), end - start, self.heads.scale());
        let mut gradients = GroupGradients::new(length, dim, group);
        let (mut p, mut ds) = (Vec::new(), Vec::new());
        for first in (0..length).step_by(BLOCK) {
            let last = (first + BLOCK).min(length);
            let count = (last - first) * group;
            let gather = |of: &[E]| self.gather_group(of, start + first, last - first, kv_head);
            let (queries, out) = (gather(self.q), gather(attended.out));
            let d_out = self.gather_group(d_out, start + first, last - first, kv_head);
            let queries = Mat::new(&queries, count, dim);
            let (keys, values) = (self.keys(start, last, kv_head), self.values(start, last, kv_head));
            let d_out_mat = Mat::new(&d_out, count, dim);
            p.resize(count * last, 0.0);
            ds.resize(count * last, 0.0);

            let dst = MatMut::new(&mut p, count, last);
            gemm(dst, Into::Set, 1.0, queries, keys.t(), E::PRECISION, Threads::One);
            for (at, p) in p.chunks_exact_mut(last).enumerate() {
                let (row, member) = (first + at / group, at % group);
                let (seen, hidden) = p.split_at_mut(row + 1);
                exp_scaled(seen, scale, attended.log_sums[(start + row) * q_heads + kv_head * group + member]);
                hidden.fill(0.0);
            }
            let p_mat = Mat::new(&p, count, last);
            let dst = MatMut::new(&mut gradients.dv[..last * dim], last, dim);
            gemm(dst, Into::Add, 1.0, p_mat.t(), d_out_mat, E::PRECISION, Threads::One);

            let dst = MatMut::new(&mut ds, count, last);
            gemm(dst, Into::Set, 1.0, d_out_mat, values.t(), E::PRECISION, Threads::One);
            let rows = ds.chunks_exact_mut(last).zip(p.chunks_exact(last));
            for ((ds, p), (out, d_out)) in rows.zip(out.chunks_exact(dim).zip(d_out.chunks_exact(dim))) {
                score_gradient(ds, p, out, d_out);
            }
            let ds = Mat::new(&ds, count, last);
            let dst = MatMut::new(&mut gradients.dq[first * group * dim..last * group * dim], count, dim);
            gemm(dst, Into::Set, scale, ds, keys, E::PRECISION, Threads::One);
            let dst = MatMut::new(&mut gradients.dk[..last * dim], last, dim);
            gemm(dst, Into::Add, scale, ds.t(), queries, E::PRECISION, Threads::One);
        }
        gradients
    }
}

/// The gradients of a key head and of the query heads that share it, over one sequence.
struct GroupGradients {
    /// `[length, group · head_dim]`
    dq: Vec<f32>,
    /// `[length, head_dim]`, as those of the values.
    dk: Vec<f32>,
    dv: Vec<f32>,
}

impl GroupGradients {
    fn new(length: usize, dim: usize, group: usize) -> Self {
        let zeros = vec![0.0; length * dim];
        Self { dq: vec![0.0; length * dim * group], dk: zeros.clone(), dv: zeros }
    }
}

vectorized! {
    /// Turns a row of dP into a row of dS = P ∘ (dP − dO · O).
    fn score_gradient<E: Element>(dp: &mut [f32], p: &[f32], out: &[E], d_out: &[f32]) {
        let delta = dot_inline(out, d_out);
        for (dp, p) in dp.iter_mut().zip(p) {
            *dp = p * (*dp - delta);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, check_slopes, noise, reference_attention};

    struct Case {
        heads: Heads,
        cu_seqlens: Vec<u32>,
        q: Vec<f32>,
        k: Vec<f32>,
        v: Vec<f32>,
    }

    impl Case {
        fn new(q_heads: usize, kv_heads: usize, dim: usize, lengths: &[usize]) -> Self {
            let (heads, rows) = (Heads { q_heads, kv_heads, dim }, lengths.iter().sum::<usize>());
            let mut sum = 0;
            let ends = lengths.iter().map(|length| (sum += *length as u32, sum).1);
            let cu_seqlens = std::iter::once(0).chain(ends).collect();
            let q = noise(rows * heads.q_cols(), 1).iter().map(|q| 3.0 * q).collect();
            Self { heads, cu_seqlens, q, k: noise(rows * heads.kv_cols(), 2), v: noise(rows * heads.kv_cols(), 3) }
        }

        fn attention(&self) -> Attention<'_, f32> {
            Attention { heads: self.heads, cu_seqlens: &self.cu_seqlens, q: &self.q, k: &self.k, v: &self.v }
        }

        fn check_gradients(&self) {
            let (attention, d_out) = (self.attention(), noise(self.q.len(), 4));
            let [dq, dk, dv] = backward(attention, &d_out);
            check_slopes(&self.q, &dq, |q| (forward(Attention { q, ..attention }).0, d_out.clone()));
            check_slopes(&self.k, &dk, |k| (forward(Attention { k, ..attention }).0, d_out.clone()));
            check_slopes(&self.v, &dv, |v| (forward(Attention { v, ..attention }).0, d_out.clone()));
        }
    }

    fn forward(attention: Attention<'_, f32>) -> (Vec<f32>, Vec<f32>) {
        let mut out = vec![f32::NAN; attention.q.len()];
        let log_sums = attention.forward(&mut out);
        (out, log_sums)
    }

    fn backward(attention: Attention<'_, f32>, d_out: &[f32]) -> [Vec<f32>; 3] {
        let (out, log_sums) = forward(attention);
        let [mut dq, mut dk, mut dv] = [attention.q, attention.k, attention.v].map(|of| vec![f32::NAN; of.len()]);
        let gradients = AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
        attention.backward(Attended { out: &out, log_sums: &log_sums }, d_out, gradients);
        [dq, dk, dv]
    }

    #[test]
    fn agrees_with_the_formula_over_odd_shapes() {
        for (q_heads, kv_heads, dim, lengths) in
            [(1, 1, 1, vec![1]), (6, 2, 8, vec![5, 1, 70, 64, 3]), (4, 4, 5, vec![129]), (3, 1, 64, vec![65, 64])]
        {
            let case = Case::new(q_heads, kv_heads, dim, &lengths);
            let expected = reference_attention(&case.q, &case.k, &case.v, &lengths, case.heads);
            assert_close(&forward(case.attention()).0, &expected, 2e-6);
        }
    }

    #[test]
    fn gradients() {
        Case::new(4, 2, 2, &[4, 1, 4]).check_gradients();
    }

    #[test]
    fn gradients_across_blocks() {
        Case::new(2, 1, 2, &[BLOCK + 3]).check_gradients();
    }

    #[test]
    fn sequences_do_not_see_each_other() {
        let case = Case::new(2, 1, 4, &[7, 5]);
        let (q_from, kv_from) = (7 * case.heads.q_cols(), 7 * case.heads.kv_cols());
        let alone = Attention {
            heads: case.heads,
            cu_seqlens: &[0, 5],
            q: &case.q[q_from..],
            k: &case.k[kv_from..],
            v: &case.v[kv_from..],
        };
        assert_eq!(forward(case.attention()).0[q_from..], forward(alone).0);
    }

    #[test]
    fn does_not_depend_on_threads() {
        let case = Case::new(4, 2, 16, &[130, 70]);
        assert_independent_of_threads(|| {
            let out = forward(case.attention()).0;
            let d_out: Vec<f32> = out.iter().map(|out| 2.0 * out).collect();
            [&[out], &backward(case.attention(), &d_out)[..]].concat().concat()
        });
    }
}
