use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use crate::{
    attention::Heads,
    cache::{KvCache, Segment, Span},
    exp::exp_above,
    gemm::{Into, Mat, Threads, gemm},
    isa::{axpy_inline, vectorized},
    operand::{Operand, dims2, matrix},
    skinny::{SKINNY_ROWS_MAX, dots},
};

const OP: &str = "cached_attention";

/// New rows of one sequence that a task scores at once: scores take this many rows times the sequence's length.
const BLOCK: usize = 32;

/// Appends the keys and values of new tokens to one layer of the cache and attends from them, causally, to all tokens of
/// their sequence. For inference: the result is not differentiable.
///
/// q `[rows, heads · head_dim]`, k and v `[rows, kv_heads · head_dim]`; `spans` says which rows belong to which sequence,
/// in the order of the rows, each slot at most once. Keys are cached as they are given: rotated.
///
/// # Errors
/// Where shapes, spans or the cache do not fit together. The cache may then hold the tokens in some layers:
/// [`KvCache::truncate`] repairs that.
pub fn cached_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    cache: &mut KvCache,
    layer: usize,
    spans: &[Span],
) -> Result<Tensor> {
    let (rows, q_cols) = dims2(OP, "q", q.layout())?;
    let (kv_heads, dim) = cache.heads();
    let kv_cols = kv_heads * dim;
    let heads = Heads::new(q_cols, kv_cols, dim)?;
    if dims2(OP, "k", k.layout())? != (rows, kv_cols) || dims2(OP, "v", v.layout())? != (rows, kv_cols) {
        bail!("{OP}: k and v have the shapes {:?} and {:?}, expected [{rows}, {kv_cols}]", k.dims(), v.dims());
    }
    if spans.iter().map(|span| span.rows).sum::<usize>() != rows {
        bail!("{OP}: {rows} rows do not make up the spans {spans:?}");
    }
    let (q, k, v) = (Operand::new(OP, q), Operand::new(OP, k), Operand::new(OP, v));
    let (q, k, v) = (q.values()?, k.values()?, v.values()?);

    let mut tasks = Vec::new();
    let mut row = 0;
    for span in spans {
        let before = cache.layer_len(span.slot, layer)?;
        let values = row * kv_cols..(row + span.rows) * kv_cols;
        cache.append(span.slot, layer, &k[values.clone()], &v[values])?;
        for first in (0..span.rows).step_by(BLOCK) {
            let task = Task {
                slot: span.slot,
                row: row + first,
                rows: BLOCK.min(span.rows - first),
                seen: before + first + 1,
                head: 0,
            };
            tasks.extend((0..kv_heads).map(|head| Task { head, ..task }));
        }
        row += span.rows;
    }
    let cache = &*cache;
    let blocks = tasks
        .par_iter()
        .map(|task| Ok(attend(heads, task, &q, &cache.segments(task.slot, layer, task.head)?)))
        .collect::<Result<Vec<_>>>()?;

    let mut out = vec![0.0; rows * q_cols];
    let width = heads.group() * dim;
    for (task, block) in tasks.iter().zip(&blocks) {
        for (i, values) in block.chunks_exact(width).enumerate() {
            let start = (task.row + i) * q_cols + task.head * width;
            out[start..start + width].copy_from_slice(values);
        }
    }
    matrix(out, rows, q_cols)
}

/// Some rows of one sequence in one key head.
#[derive(Clone, Copy)]
struct Task {
    slot: usize,
    row: usize,
    rows: usize,
    /// How many tokens the first of the rows sees, itself included.
    seen: usize,
    head: usize,
}

/// The output `[rows, group · head_dim]` of a task.
fn attend(heads: Heads, task: &Task, q: &[f32], segments: &[Segment<'_>]) -> Vec<f32> {
    let (dim, group, width) = (heads.dim, heads.group(), heads.group() * heads.dim);
    let mut queries = Vec::with_capacity(task.rows * width);
    for row in task.row..task.row + task.rows {
        let start = row * heads.q_cols() + task.head * width;
        queries.extend(q[start..start + width].iter().map(|q| q * heads.scale()));
    }
    let count = task.rows * group;
    let mut out = vec![0.0; count * dim];
    let (mut maxima, mut sums) = (vec![f32::NEG_INFINITY; count], vec![0.0; count]);
    let mut start = 0;
    // Softmax over segments one after another, scaled anew where a later one holds a greater score (arXiv 1805.02867).
    for segment in segments {
        let tokens = segment.keys.len() / dim;
        let mut scores = vec![0.0; count * tokens];
        if count <= SKINNY_ROWS_MAX {
            dots(&mut scores, segment.keys, &queries, dim);
        } else {
            let (queries, keys) = (Mat::new(&queries, count, dim), Mat::new(segment.keys, tokens, dim));
            gemm(&mut scores, Into::Set, 1.0, queries, keys.t(), Threads::One);
        }
        for (i, scores) in scores.chunks_exact_mut(tokens).enumerate() {
            let seen = (task.seen + i / group).saturating_sub(start).min(tokens);
            let (seen, hidden) = scores.split_at_mut(seen);
            hidden.fill(0.0);
            let (max, sum) = exp_above(seen, maxima[i]);
            let rescale = if max > maxima[i] { (maxima[i] - max).exp() } else { 1.0 };
            out[i * dim..(i + 1) * dim].iter_mut().for_each(|out| *out *= rescale);
            sums[i] = sums[i] * rescale + sum;
            maxima[i] = max;
        }
        if count <= SKINNY_ROWS_MAX {
            add_weighted(&mut out, &scores, segment.values, dim);
        } else {
            let (scores, values) = (Mat::new(&scores, count, tokens), Mat::new(segment.values, tokens, dim));
            gemm(&mut out, Into::Add, 1.0, scores, values, Threads::One);
        }
        start += tokens;
    }
    for (out, sum) in out.chunks_exact_mut(dim).zip(sums) {
        out.iter_mut().for_each(|out| *out /= sum);
    }
    out
}

vectorized! {
    /// `out[i] += Σ_t weights[i, t] · values[t]`
    pub(crate) fn add_weighted(out: &mut [f32], weights: &[f32], values: &[f32], dim: usize) {
        let tokens = values.len() / dim;
        for (out, weights) in out.chunks_exact_mut(dim).zip(weights.chunks_exact(tokens)) {
            for (weight, value) in weights.iter().zip(values.chunks_exact(dim)) {
                axpy_inline(out, *weight, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_independent_of_threads, flat, noise_matrix, reference_attention};

    const DIM: usize = 4;
    const LENGTH: usize = 90;

    struct Case {
        q: Tensor,
        k: Tensor,
        v: Tensor,
        expected: Vec<f32>,
    }

    fn case(seed: u64) -> Case {
        let q = (noise_matrix(LENGTH, 6 * DIM, seed) * 3.0).unwrap();
        let (k, v) = (noise_matrix(LENGTH, 2 * DIM, seed + 1), noise_matrix(LENGTH, 2 * DIM, seed + 2));
        let expected = reference_attention(&q, &k, &v, &[LENGTH], DIM);
        Case { q, k, v, expected }
    }

    /// Attends from the rows `first..first + rows` of a case.
    fn step(case: &Case, cache: &mut KvCache, slot: usize, first: usize, rows: usize) -> Vec<f32> {
        let cut = |x: &Tensor| x.narrow(0, first, rows).unwrap();
        let span = [Span { slot, rows }];
        flat(&cached_attention(&cut(&case.q), &cut(&case.k), &cut(&case.v), cache, 0, &span).unwrap())
    }

    fn expected(case: &Case, first: usize, rows: usize) -> &[f32] {
        &case.expected[first * 6 * DIM..(first + rows) * 6 * DIM]
    }

    #[test]
    fn pieces_of_any_size_agree_with_the_whole() {
        for pieces in [vec![LENGTH], vec![1; LENGTH], vec![40, 1, 1, 33, 2, 13]] {
            let (case, mut cache) = (case(1), KvCache::new(1, 2, DIM));
            let slot = cache.insert(8);
            let mut first = 0;
            for rows in pieces {
                assert_close(&step(&case, &mut cache, slot, first, rows), expected(&case, first, rows), 2e-6);
                first += rows;
                assert_eq!(cache.len(slot).unwrap(), first);
            }
        }
    }

    #[test]
    fn forks_share_their_beginning_and_go_their_own_way() {
        let (case, mut cache) = (case(1), KvCache::new(1, 2, DIM));
        let parent = cache.insert(0);
        step(&case, &mut cache, parent, 0, 50);
        let child = cache.fork(parent, 40).unwrap();
        let grandchild = {
            step(&case, &mut cache, child, 50, 10);
            cache.fork(child, 0).unwrap()
        };
        cache.remove(parent);
        assert_close(&step(&case, &mut cache, child, 60, 30), expected(&case, 60, 30), 2e-6);
        assert_close(&step(&case, &mut cache, grandchild, 60, 1), expected(&case, 60, 1), 2e-6);
        assert_eq!(cache.len(grandchild).unwrap(), 61);
        assert!(cache.len(parent).is_err());
        assert_eq!(cache.insert(0), parent);
    }

    #[test]
    fn truncation_forgets_the_rest_even_of_a_shared_beginning() {
        let (case, mut cache) = (case(1), KvCache::new(1, 2, DIM));
        let parent = cache.insert(0);
        step(&case, &mut cache, parent, 0, 50);
        let child = cache.fork(parent, 0).unwrap();
        step(&case, &mut cache, child, 50, 10);
        cache.truncate(child, 52).unwrap();
        assert_close(&step(&case, &mut cache, child, 52, 20), expected(&case, 52, 20), 2e-6);
        cache.truncate(child, 20).unwrap();
        assert_eq!(cache.len(child).unwrap(), 20);
        assert_close(&step(&case, &mut cache, child, 20, 3), expected(&case, 20, 3), 2e-6);
        assert_close(&step(&case, &mut cache, parent, 50, 2), expected(&case, 50, 2), 2e-6);
    }

    #[test]
    fn a_batch_of_unequal_sequences_is_each_by_itself() {
        let (one, two) = (case(1), case(7));
        let mut cache = KvCache::new(1, 2, DIM);
        let slots = [cache.insert(0), cache.insert(0)];
        step(&one, &mut cache, slots[0], 0, 30);
        step(&two, &mut cache, slots[1], 0, 7);
        let rows = |x: &Tensor, y: &Tensor| {
            Tensor::cat(&[x.narrow(0, 30, 1).unwrap(), y.narrow(0, 7, 4).unwrap()], 0).unwrap()
        };
        let spans = [Span { slot: slots[0], rows: 1 }, Span { slot: slots[1], rows: 4 }];
        let (q, k, v) = (rows(&one.q, &two.q), rows(&one.k, &two.k), rows(&one.v, &two.v));
        let out = flat(&cached_attention(&q, &k, &v, &mut cache, 0, &spans).unwrap());
        assert_close(&out, &[expected(&one, 30, 1), expected(&two, 7, 4)].concat(), 2e-6);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (case, mut cache) = (case(1), KvCache::new(1, 2, DIM));
        let slot = cache.insert(0);
        let mut attend = |layer, slot, rows| {
            cached_attention(&case.q, &case.k, &case.v, &mut cache, layer, &[Span { slot, rows }]).is_err()
        };
        assert!(attend(0, slot, 3));
        assert!(attend(1, slot, LENGTH));
        assert!(attend(0, slot + 1, LENGTH));
    }

    #[test]
    fn does_not_depend_on_threads() {
        let case = case(1);
        assert_independent_of_threads(|| {
            let mut cache = KvCache::new(1, 2, DIM);
            let slot = cache.insert(0);
            let mut all = step(&case, &mut cache, slot, 0, 80);
            all.extend(step(&case, &mut cache, slot, 80, 1));
            all
        });
    }
}
