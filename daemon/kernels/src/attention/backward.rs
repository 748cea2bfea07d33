use rayon::prelude::*;

use super::{Attended, Attention, AttentionGradients, BLOCK, Heads};
use crate::{
    element::Element,
    exp::exp_scaled,
    gemm::{Into, Threads, gemm},
    mat::{Mat, MatMut},
    rows::rows_per_task,
    vectorized::{dot_inline, vectorized},
};

impl<E: Element> Attention<'_, E> {
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
