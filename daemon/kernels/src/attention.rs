use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::{
    exp::{exp_scaled, softmax},
    gemm::{Into, Mat, Threads, gemm},
    isa::{dot_inline, vectorized},
    operand::{Operand, dims2, matrix, values},
};

const OP: &str = "packed_attention";

/// Queries per block: scores exist for one block and the keys before its end, so memory is linear in length.
const BLOCK: usize = 64;

/// Causal attention inside each of several sequences packed one after another: `softmax(q · kᵀ / √head_dim) · v`.
///
/// q `[rows, heads · head_dim]`, k and v `[rows, kv_heads · head_dim]`, where the number of query heads is a multiple of
/// that of key heads (grouped-query attention, arXiv 2305.13245). `cu_seqlens` holds where each sequence starts, and
/// last the number of rows. Differentiable in q, k and v; as in FlashAttention (arXiv 2205.14135) the backward pass
/// computes the scores anew from the kept log-sums instead of keeping them.
///
/// # Errors
/// Where shapes or `cu_seqlens` do not fit together or a tensor is not f32 on the CPU.
pub fn packed_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    cu_seqlens: &Arc<[u32]>,
    head_dim: usize,
) -> Result<Tensor> {
    let (rows, q_cols) = dims2(OP, "q", q.layout())?;
    let kv_shape = dims2(OP, "k", k.layout())?;
    if dims2(OP, "v", v.layout())? != kv_shape || kv_shape.0 != rows {
        bail!("{OP}: q, k and v have the shapes {:?}, {:?} and {:?}", q.dims(), k.dims(), v.dims());
    }
    let heads = Heads::new(q_cols, kv_shape.1, head_dim)?;
    let ordered = cu_seqlens.is_sorted() && cu_seqlens.first() == Some(&0);
    if !ordered || cu_seqlens.last().map(|end| *end as usize) != Some(rows) {
        bail!("{OP}: cu_seqlens must rise from 0 to the {rows} rows, not {cu_seqlens:?}");
    }
    q.apply_op3(k, v, PackedAttention { heads, cu_seqlens: cu_seqlens.clone(), log_sums: OnceLock::new() })
}

/// How the columns of q, k and v divide into heads.
#[derive(Clone, Copy)]
pub(crate) struct Heads {
    pub(crate) q_heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) dim: usize,
}

impl Heads {
    pub(crate) fn new(q_cols: usize, kv_cols: usize, dim: usize) -> Result<Self> {
        if dim == 0 || kv_cols == 0 || !q_cols.is_multiple_of(kv_cols) || !kv_cols.is_multiple_of(dim) {
            bail!("attention: {q_cols} query and {kv_cols} key columns are not groups of heads of {dim}");
        }
        Ok(Self { q_heads: q_cols / dim, kv_heads: kv_cols / dim, dim })
    }

    /// Query heads per key head.
    pub(crate) fn group(&self) -> usize {
        self.q_heads / self.kv_heads
    }

    pub(crate) fn q_cols(&self) -> usize {
        self.q_heads * self.dim
    }

    pub(crate) fn kv_cols(&self) -> usize {
        self.kv_heads * self.dim
    }

    pub(crate) fn scale(&self) -> f32 {
        1.0 / (self.dim as f32).sqrt()
    }
}

/// Copies dense blocks of `width` columns to where they belong in rows of `cols` columns.
fn place(dst: &mut [f32], cols: usize, row: usize, col: usize, block: &[f32], width: usize) {
    for (i, values) in block.chunks_exact(width).enumerate() {
        let start = (row + i) * cols + col;
        dst[start..start + width].copy_from_slice(values);
    }
}

struct PackedAttention {
    heads: Heads,
    cu_seqlens: Arc<[u32]>,
    /// Per row and query head the logarithm of the sum of the exponentials of the scores.
    log_sums: OnceLock<Vec<f32>>,
}

impl PackedAttention {
    fn sequences(&self) -> impl Iterator<Item = (usize, usize)> {
        self.cu_seqlens.windows(2).map(|pair| (pair[0] as usize, pair[1] as usize)).filter(|(start, end)| start < end)
    }
}

/// One head's columns of q, k and v, from the first row of a sequence on.
struct Head<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    heads: Heads,
}

impl<'a> Head<'a> {
    fn new(heads: Heads, head: usize, start: usize, q: &'a [f32], k: &'a [f32], v: &'a [f32]) -> Self {
        let kv_from = start * heads.kv_cols() + head / heads.group() * heads.dim;
        Self { q: &q[start * heads.q_cols() + head * heads.dim..], k: &k[kv_from..], v: &v[kv_from..], heads }
    }

    fn queries(&self, first: usize, last: usize) -> Mat<'a> {
        let cols = self.heads.q_cols();
        Mat::strided(&self.q[first * cols..], last - first, self.heads.dim, cols)
    }

    fn keys(&self, last: usize) -> Mat<'a> {
        Mat::strided(self.k, last, self.heads.dim, self.heads.kv_cols())
    }

    fn values(&self, last: usize) -> Mat<'a> {
        Mat::strided(self.v, last, self.heads.dim, self.heads.kv_cols())
    }

    /// Output and log-sums of the queries `first..last`.
    fn forward(&self, first: usize, last: usize) -> (Vec<f32>, Vec<f32>) {
        let rows = last - first;
        let mut scores = vec![0.0; rows * last];
        gemm(&mut scores, Into::Set, 1.0, self.queries(first, last), self.keys(last).t(), Threads::One);
        let mut log_sums = Vec::with_capacity(rows);
        for (i, scores) in scores.chunks_exact_mut(last).enumerate() {
            let (seen, hidden) = scores.split_at_mut(first + i + 1);
            log_sums.push(softmax(seen, self.heads.scale()));
            hidden.fill(0.0);
        }
        let mut out = vec![0.0; rows * self.heads.dim];
        gemm(&mut out, Into::Set, 1.0, Mat::new(&scores, rows, last), self.values(last), Threads::One);
        (out, log_sums)
    }
}

impl CustomOp3 for PackedAttention {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let heads = self.heads;
        let (rows, q_cols) = dims2(OP, "q", q_layout)?;
        let (q, k, v) = (values(OP, q, q_layout)?, values(OP, k, k_layout)?, values(OP, v, v_layout)?);
        let mut tasks = Vec::new();
        for (start, end) in self.sequences() {
            for first in (0..end - start).step_by(BLOCK) {
                tasks.extend((0..heads.q_heads).map(|head| (start, first, (first + BLOCK).min(end - start), head)));
            }
        }
        let blocks: Vec<_> = tasks
            .par_iter()
            .map(|(start, first, last, head)| Head::new(heads, *head, *start, &q, &k, &v).forward(*first, *last))
            .collect();
        let (mut out, mut log_sums) = (vec![0.0; rows * q_cols], vec![0.0; rows * heads.q_heads]);
        for ((start, first, _, head), (block, block_log_sums)) in tasks.iter().zip(&blocks) {
            place(&mut out, q_cols, start + first, head * heads.dim, block, heads.dim);
            place(&mut log_sums, heads.q_heads, start + first, *head, block_log_sums, 1);
        }
        let _ = self.log_sums.set(log_sums);
        Ok((CpuStorage::F32(out), (rows, q_cols).into()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        d_out: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let heads = self.heads;
        let rows = q.dim(0)?;
        let (q_operand, k_operand, v_operand) = (Operand::new(OP, q), Operand::new(OP, k), Operand::new(OP, v));
        let (out, d_out) = (Operand::new(OP, out), Operand::new(OP, d_out));
        let (q_values, k_values, v_values) = (q_operand.values()?, k_operand.values()?, v_operand.values()?);
        let (out, d_out) = (out.values()?, d_out.values()?);
        let Some(log_sums) = self.log_sums.get() else { bail!("{OP}: backward ran before forward") };

        let kv_heads = 0..heads.kv_heads;
        let tasks: Vec<_> = self.sequences().flat_map(|span| kv_heads.clone().map(move |head| (span, head))).collect();
        let gradients: Vec<_> = tasks
            .par_iter()
            .map(|((start, end), kv_head)| {
                let mut group = GroupGradients::new(heads, end - start);
                for member in 0..heads.group() {
                    let head = kv_head * heads.group() + member;
                    let forward = Head::new(heads, head, *start, &q_values, &k_values, &v_values);
                    let from = start * heads.q_cols() + head * heads.dim;
                    let log_sums = &log_sums[start * heads.q_heads + head..];
                    group.add_head(member, &forward, &out[from..], &d_out[from..], log_sums);
                }
                group
            })
            .collect();

        let (q_cols, kv_cols) = (heads.q_cols(), heads.kv_cols());
        let (mut dq, mut dk, mut dv) = (vec![0.0; rows * q_cols], vec![0.0; rows * kv_cols], vec![0.0; rows * kv_cols]);
        for (((start, _), kv_head), group) in tasks.iter().zip(&gradients) {
            for (member, block) in group.dq.iter().enumerate() {
                place(&mut dq, q_cols, *start, (kv_head * heads.group() + member) * heads.dim, block, heads.dim);
            }
            place(&mut dk, kv_cols, *start, kv_head * heads.dim, &group.dk, heads.dim);
            place(&mut dv, kv_cols, *start, kv_head * heads.dim, &group.dv, heads.dim);
        }
        let dq = if q.track_op() { Some(matrix(dq, rows, q_cols)?) } else { None };
        let dk = if k.track_op() { Some(matrix(dk, rows, kv_cols)?) } else { None };
        let dv = if v.track_op() { Some(matrix(dv, rows, kv_cols)?) } else { None };
        Ok((dq, dk, dv))
    }
}

/// The gradients of a key head and of the query heads that share it, over one sequence.
struct GroupGradients {
    dq: Vec<Vec<f32>>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    length: usize,
}

impl GroupGradients {
    fn new(heads: Heads, length: usize) -> Self {
        let zeros = vec![0.0; length * heads.dim];
        Self { dq: vec![zeros.clone(); heads.group()], dk: zeros.clone(), dv: zeros, length }
    }

    /// With P the probabilities and dP = dO · Vᵀ: dS = P ∘ (dP − rowsum(dO ∘ O)), dQ = dS · K, dK = dSᵀ · Q, dV = Pᵀ · dO.
    fn add_head(&mut self, member: usize, head: &Head<'_>, out: &[f32], d_out: &[f32], log_sums: &[f32]) {
        let (heads, dim, cols) = (head.heads, head.heads.dim, head.heads.q_cols());
        for first in (0..self.length).step_by(BLOCK) {
            let last = (first + BLOCK).min(self.length);
            let rows = last - first;
            let (queries, keys) = (head.queries(first, last), head.keys(last));
            let d_out_block = Mat::strided(&d_out[first * cols..], rows, dim, cols);

            let mut p = vec![0.0; rows * last];
            gemm(&mut p, Into::Set, 1.0, queries, keys.t(), Threads::One);
            for (i, p) in p.chunks_exact_mut(last).enumerate() {
                let (seen, hidden) = p.split_at_mut(first + i + 1);
                exp_scaled(seen, heads.scale(), log_sums[(first + i) * heads.q_heads]);
                hidden.fill(0.0);
            }
            let p_mat = Mat::new(&p, rows, last);
            gemm(&mut self.dv[..last * dim], Into::Add, 1.0, p_mat.t(), d_out_block, Threads::One);

            let mut ds = vec![0.0; rows * last];
            gemm(&mut ds, Into::Set, 1.0, d_out_block, head.values(last).t(), Threads::One);
            for (i, (ds, p)) in ds.chunks_exact_mut(last).zip(p.chunks_exact(last)).enumerate() {
                let from = (first + i) * cols;
                score_gradient(ds, p, &out[from..from + dim], &d_out[from..from + dim]);
            }
            let ds = Mat::new(&ds, rows, last);
            let dq = &mut self.dq[member][first * dim..last * dim];
            gemm(dq, Into::Set, heads.scale(), ds, keys, Threads::One);
            gemm(&mut self.dk[..last * dim], Into::Add, heads.scale(), ds.t(), queries, Threads::One);
        }
    }
}

vectorized! {
    /// Turns a row of dP into a row of dS = P ∘ (dP − dO · O).
    pub(crate) fn score_gradient(dp: &mut [f32], p: &[f32], out: &[f32], d_out: &[f32]) {
        let delta = dot_inline(out, d_out);
        for (dp, p) in dp.iter_mut().zip(p) {
            *dp = p * (*dp - delta);
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::testing::{
        assert_close, assert_independent_of_threads, awkward, check_gradients, flat, noise_matrix, reference_attention,
    };

    #[test]
    fn agrees_with_the_formula_over_odd_shapes() {
        for (q_heads, kv_heads, dim, lengths) in
            [(1, 1, 1, vec![1]), (6, 2, 8, vec![5, 1, 70, 64, 3]), (4, 4, 5, vec![129]), (3, 1, 64, vec![65, 64])]
        {
            let rows: usize = lengths.iter().sum();
            let q = (noise_matrix(rows, q_heads * dim, 1) * 3.0).unwrap();
            let (k, v) = (noise_matrix(rows, kv_heads * dim, 2), noise_matrix(rows, kv_heads * dim, 3));
            let cu_seqlens = cu_seqlens(&lengths);
            let expected = reference_attention(&q, &k, &v, &lengths, dim);
            for (q, k, v) in [(q.clone(), k.clone(), v.clone()), (awkward(&q), awkward(&k), awkward(&v))] {
                assert_close(&flat(&packed_attention(&q, &k, &v, &cu_seqlens, dim).unwrap()), &expected, 2e-6);
            }
        }
    }

    fn cu_seqlens(lengths: &[usize]) -> Arc<[u32]> {
        let mut sum = 0;
        std::iter::once(0).chain(lengths.iter().map(|length| (sum += *length as u32, sum).1)).collect()
    }

    #[test]
    fn gradients() {
        let inputs = [noise_matrix(9, 8, 1), noise_matrix(9, 4, 2), noise_matrix(9, 4, 3)];
        check_gradients(&inputs, |x| packed_attention(&x[0], &x[1], &x[2], &cu_seqlens(&[4, 1, 4]), 2));
    }

    #[test]
    fn gradients_across_blocks() {
        let rows = BLOCK + 3;
        let inputs = [noise_matrix(rows, 4, 1), noise_matrix(rows, 2, 2), noise_matrix(rows, 2, 3)];
        check_gradients(&inputs, |x| packed_attention(&x[0], &x[1], &x[2], &cu_seqlens(&[rows]), 2));
    }

    #[test]
    fn sequences_do_not_see_each_other() {
        let (q, k, v) = (noise_matrix(12, 4, 1), noise_matrix(12, 4, 2), noise_matrix(12, 4, 3));
        let packed = packed_attention(&q, &k, &v, &cu_seqlens(&[7, 5]), 2).unwrap();
        let alone = |x: &Tensor| x.narrow(0, 7, 5).unwrap();
        let second = packed_attention(&alone(&q), &alone(&k), &alone(&v), &cu_seqlens(&[5]), 2).unwrap();
        assert_eq!(flat(&alone(&packed)), flat(&second));
    }

    #[test]
    fn bad_boundaries_are_refused() {
        let x = noise_matrix(4, 4, 1);
        for bad in [vec![0, 3], vec![1, 4], vec![0, 3, 2, 4], vec![]] {
            assert!(packed_attention(&x, &x, &x, &bad.into(), 2).is_err());
        }
        assert!(packed_attention(&x, &x, &x, &cu_seqlens(&[4]), 3).is_err());
    }

    #[test]
    fn does_not_depend_on_threads() {
        let k = Var::from_tensor(&noise_matrix(200, 32, 2)).unwrap();
        let (q, v) = (noise_matrix(200, 64, 1), noise_matrix(200, 32, 3));
        assert_independent_of_threads(|| {
            let y = packed_attention(&q, &k, &v, &cu_seqlens(&[130, 70]), 16).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = flat(&y);
            all.extend(flat(gradients.get(&k).unwrap()));
            all
        });
    }
}
