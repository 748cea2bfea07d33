use candle_core::{Result, bail};
use rayon::prelude::*;

use crate::{
    attention::Heads,
    cache::{KvCache, Segment, Span},
    element::Element,
    exp::exp_above,
    gemm::{Into, Threads, gemm},
    isa::{LANES, axpy_inline, dot_inline, vectorized},
    mat::{Mat, MatMut},
};

const OP: &str = "cached_attention";

/// New rows of one sequence that a task scores at once: scores take this many rows times the sequence's length.
const BLOCK: usize = 32;

/// The longest head.
const DIM_MAX: usize = 512;

/// Up to this many queries, packing keys and values for GEMM costs more than it saves.
const FEW: usize = 16;

/// Appends the keys and values of new tokens to one layer of the cache and attends from them, causally, to all tokens of
/// their sequence. For inference: there is no backward pass.
///
/// q `[rows, heads · head_dim]`, k and v `[rows, kv_heads · head_dim]`; `spans` says which rows belong to which sequence,
/// in the order of the rows, each slot at most once. Keys are cached as they are given: rotated. The result is as q.
///
/// # Errors
/// Where shapes, spans or the cache do not fit together. The cache may then hold the tokens in some layers:
/// [`KvCache::truncate`] repairs that.
pub fn cached_attention(
    heads: Heads,
    (q, k, v): (&[f32], &[f32], &[f32]),
    cache: &mut KvCache,
    layer: usize,
    spans: &[Span],
) -> Result<Vec<f32>> {
    let (q_cols, kv_cols) = (heads.q_cols(), heads.kv_cols());
    if cache.heads() != (heads.kv_heads, heads.dim) {
        bail!("{OP}: the cache is of {:?} key heads and values each, but there are {heads:?}", cache.heads());
    }
    let rows = spans.iter().map(|span| span.rows).sum::<usize>();
    if heads.dim > DIM_MAX {
        bail!("{OP}: heads of {} values are longer than {DIM_MAX}", heads.dim);
    }
    if q.len() != rows * q_cols || k.len() != rows * kv_cols || v.len() != rows * kv_cols {
        bail!("{OP}: q, k and v of {}, {} and {} values do not make up {spans:?}", q.len(), k.len(), v.len());
    }

    let mut tasks = Vec::new();
    let mut row = 0;
    for span in spans {
        let before = cache.layer_len(span.slot, layer)?;
        let values = row * kv_cols..(row + span.rows) * kv_cols;
        cache.append(span.slot, layer, &k[values.clone()], &v[values])?;
        for first in (0..span.rows).step_by(BLOCK) {
            let rows = BLOCK.min(span.rows - first);
            tasks.push(Task { slot: span.slot, row: row + first, rows, seen: before + first + 1 });
        }
        row += span.rows;
    }
    let cache = &*cache;
    let mut out = vec![0.0; rows * q_cols];
    let mut rest = out.as_mut_slice();
    let mut blocks = Vec::with_capacity(tasks.len());
    for task in tasks {
        let block;
        (block, rest) = rest.split_at_mut(task.rows * q_cols);
        blocks.push((task, block));
    }
    blocks.into_par_iter().try_for_each(|(task, out)| {
        for kv_head in 0..heads.kv_heads {
            let segments = cache.segments(task.slot, layer, kv_head)?;
            task.attend(heads, kv_head, q, &segments, out);
        }
        Ok::<_, candle_core::Error>(())
    })?;
    Ok(out)
}

/// Some rows of one sequence.
#[derive(Clone, Copy)]
struct Task {
    slot: usize,
    row: usize,
    rows: usize,
    /// How many tokens the first of the rows sees, itself included.
    seen: usize,
}

impl Task {
    /// Fills the columns of the queries that share a key head.
    fn attend(&self, heads: Heads, kv_head: usize, q: &[f32], segments: &[Segment<'_>], out: &mut [f32]) {
        let (dim, group, q_cols) = (heads.dim, heads.group(), heads.q_cols());
        let columns = kv_head * group * dim..(kv_head + 1) * group * dim;
        let rows = q[self.row * q_cols..(self.row + self.rows) * q_cols].chunks_exact(q_cols);
        let queries: Vec<f32> = rows.flat_map(|row| &row[columns.clone()]).map(|q| q * heads.scale()).collect();
        let mut state = State::new(self.rows * group, dim);
        for segment in segments {
            match segment {
                Segment::F32 { keys, values } => state.add(self.seen, group, &queries, keys, values),
                Segment::Bf16 { keys, values } => state.add(self.seen, group, &queries, keys, values),
            }
        }
        for (at, (attended, sum)) in state.out.chunks_exact(dim).zip(&state.sums).enumerate() {
            let out = &mut out[at / group * q_cols + columns.start + at % group * dim..][..dim];
            out.iter_mut().zip(attended).for_each(|(out, value)| *out = value / sum);
        }
    }
}

/// A softmax over segments one after another, scaled anew where a later one holds a greater score (arXiv 1805.02867).
struct State {
    dim: usize,
    /// Tokens in the segments so far.
    tokens: usize,
    /// `[queries, head_dim]`, not yet divided by the sums.
    out: Vec<f32>,
    maxima: Vec<f32>,
    sums: Vec<f32>,
}

impl State {
    fn new(queries: usize, dim: usize) -> Self {
        let (out, maxima) = (vec![0.0; queries * dim], vec![f32::NEG_INFINITY; queries]);
        Self { dim, tokens: 0, out, maxima, sums: vec![0.0; queries] }
    }

    /// Adds a segment. `seen` are the tokens that the first row sees of all segments; a row has `group` queries.
    fn add<E: Element>(&mut self, seen: usize, group: usize, queries: &[f32], keys: &[E], values: &[E]) {
        let (dim, count, tokens) = (self.dim, self.sums.len(), keys.len() / self.dim);
        let mut scores = vec![0.0; count * tokens];
        if count <= FEW {
            dots(&mut scores, queries, keys, dim);
        } else {
            let (queries, keys) = (Mat::new(queries, count, dim), Mat::new(keys, tokens, dim));
            let dst = MatMut::new(&mut scores, count, tokens);
            gemm(dst, Into::Set, 1.0, queries, keys.t(), E::PRECISION, Threads::One);
        }
        for (at, scores) in scores.chunks_exact_mut(tokens).enumerate() {
            let seen = (seen + at / group).saturating_sub(self.tokens).min(tokens);
            let (seen, hidden) = scores.split_at_mut(seen);
            hidden.fill(0.0);
            let before = self.maxima[at];
            let (max, sum) = exp_above(seen, before);
            let rescale = if max > before { (before - max).exp() } else { 1.0 };
            self.out[at * dim..(at + 1) * dim].iter_mut().for_each(|out| *out *= rescale);
            self.sums[at] = self.sums[at] * rescale + sum;
            self.maxima[at] = max;
        }
        if count <= FEW {
            add_weighted(&mut self.out, &scores, values, dim);
        } else {
            let (scores, values) = (Mat::new(&scores, count, tokens), Mat::new(values, tokens, dim));
            let dst = MatMut::new(&mut self.out, count, dim);
            gemm(dst, Into::Add, 1.0, scores, values, E::PRECISION, Threads::One);
        }
        self.tokens += tokens;
    }
}

vectorized! {
    /// `scores[i, t] = queries[i] · keys[t]`
    fn dots<E: Element>(scores: &mut [f32], queries: &[f32], keys: &[E], dim: usize) {
        let tokens = keys.len() / dim;
        let mut widened = [0.0; DIM_MAX];
        for (token, key) in keys.chunks_exact(dim).enumerate() {
            // Once for all queries, and apart from the sums, which the compiler then keeps in vectors.
            let widened = &mut widened[..dim];
            widened.iter_mut().zip(key).for_each(|(widened, key)| *widened = key.to_f32());
            for (scores, query) in scores.chunks_exact_mut(tokens).zip(queries.chunks_exact(dim)) {
                scores[token] = dot_inline(query, widened);
            }
        }
    }
}

vectorized! {
    /// `out[i] += Σ_t weights[i, t] · values[t]`
    fn add_weighted<E: Element>(out: &mut [f32], weights: &[f32], values: &[E], dim: usize) {
        let tokens = values.len() / dim;
        for (out, weights) in out.chunks_mut(TOGETHER * dim).zip(weights.chunks(TOGETHER * tokens)) {
            for first in (0..dim).step_by(LANES) {
                let width = LANES.min(dim - first);
                match (out.len() / dim, width) {
                    (4, LANES) => add_columns::<4, E>(out, weights, values, dim, first),
                    (3, LANES) => add_columns::<3, E>(out, weights, values, dim, first),
                    (2, LANES) => add_columns::<2, E>(out, weights, values, dim, first),
                    (1, LANES) => add_columns::<1, E>(out, weights, values, dim, first),
                    _ => {
                        for (out, weights) in out.chunks_exact_mut(dim).zip(weights.chunks_exact(tokens)) {
                            for (weight, value) in weights.iter().zip(values.chunks_exact(dim)) {
                                axpy_inline(&mut out[first..first + width], *weight, &value[first..first + width]);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Queries whose sums stay in registers while values go by.
const TOGETHER: usize = 4;

/// Adds to a register's width of columns of some queries, from `first` on.
#[inline(always)]
fn add_columns<const QUERIES: usize, E: Element>(
    out: &mut [f32],
    weights: &[f32],
    values: &[E],
    dim: usize,
    first: usize,
) {
    let tokens = values.len() / dim;
    let mut sums = [[0.0_f32; LANES]; QUERIES];
    for (query, sums) in sums.iter_mut().enumerate() {
        sums.copy_from_slice(&out[query * dim + first..][..LANES]);
    }
    for (token, value) in values.chunks_exact(dim).enumerate() {
        let value = &value[first..first + LANES];
        for (query, sums) in sums.iter_mut().enumerate() {
            let weight = weights[query * tokens + token];
            for (sum, value) in sums.iter_mut().zip(value) {
                *sum += weight * value.to_f32();
            }
        }
    }
    for (query, sums) in sums.iter().enumerate() {
        out[query * dim + first..][..LANES].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        element::Precision,
        testing::{assert_close, assert_independent_of_threads, noise, reference_attention},
    };

    const LENGTH: usize = 90;
    const HEADS: Heads = Heads { q_heads: 6, kv_heads: 2, dim: 4 };

    struct Case {
        q: Vec<f32>,
        k: Vec<f32>,
        v: Vec<f32>,
        expected: Vec<f32>,
    }

    impl Case {
        /// Some rows of q, k and v.
        fn rows(&self, first: usize, rows: usize) -> (&[f32], &[f32], &[f32]) {
            let (q, kv) = (HEADS.q_cols(), HEADS.kv_cols());
            let cut = |cols: usize| first * cols..(first + rows) * cols;
            (&self.q[cut(q)], &self.k[cut(kv)], &self.v[cut(kv)])
        }
    }

    fn case(seed: u64) -> Case {
        let q: Vec<f32> = noise(LENGTH * HEADS.q_cols(), seed).iter().map(|q| 3.0 * q).collect();
        let (k, v) = (noise(LENGTH * HEADS.kv_cols(), seed + 1), noise(LENGTH * HEADS.kv_cols(), seed + 2));
        let expected = reference_attention(&q, &k, &v, &[LENGTH], HEADS);
        Case { q, k, v, expected }
    }

    fn cache() -> KvCache {
        KvCache::new(Precision::F32, 1, HEADS.kv_heads, HEADS.dim)
    }

    /// Attends from the rows `first..first + rows` of a case.
    fn step(case: &Case, cache: &mut KvCache, slot: usize, first: usize, rows: usize) -> Vec<f32> {
        cached_attention(HEADS, case.rows(first, rows), cache, 0, &[Span { slot, rows }]).unwrap()
    }

    fn expected(case: &Case, first: usize, rows: usize) -> &[f32] {
        &case.expected[first * HEADS.q_cols()..(first + rows) * HEADS.q_cols()]
    }

    #[test]
    fn pieces_of_any_size_agree_with_the_whole() {
        for pieces in [vec![LENGTH], vec![1; LENGTH], vec![40, 1, 1, 33, 2, 13]] {
            let (case, mut cache) = (case(1), cache());
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
        let (case, mut cache) = (case(1), cache());
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
        let (case, mut cache) = (case(1), cache());
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
        let mut cache = cache();
        let slots = [cache.insert(0), cache.insert(0)];
        step(&one, &mut cache, slots[0], 0, 30);
        step(&two, &mut cache, slots[1], 0, 7);
        let spans = [Span { slot: slots[0], rows: 1 }, Span { slot: slots[1], rows: 4 }];
        let (of_one, of_two) = (one.rows(30, 1), two.rows(7, 4));
        let (q, k) = ([of_one.0, of_two.0].concat(), [of_one.1, of_two.1].concat());
        let v = [of_one.2, of_two.2].concat();
        let out = cached_attention(HEADS, (&q, &k, &v), &mut cache, 0, &spans).unwrap();
        assert_close(&out, &[expected(&one, 30, 1), expected(&two, 7, 4)].concat(), 2e-6);
    }

    #[test]
    fn a_cache_in_bf16_is_near_to_one_in_f32() {
        let (case, mut cache) = (case(1), KvCache::new(Precision::Bf16, 1, HEADS.kv_heads, HEADS.dim));
        let slot = cache.insert(8);
        assert_close(&step(&case, &mut cache, slot, 0, 60), expected(&case, 0, 60), 2e-2);
        for first in 60..LENGTH {
            assert_close(&step(&case, &mut cache, slot, first, 1), expected(&case, first, 1), 2e-2);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (case, mut cache) = (case(1), cache());
        let slot = cache.insert(0);
        let mut attend = |layer, slot, rows| {
            cached_attention(HEADS, case.rows(0, LENGTH), &mut cache, layer, &[Span { slot, rows }]).is_err()
        };
        assert!(attend(0, slot, 3));
        assert!(attend(1, slot, LENGTH));
        assert!(attend(0, slot + 1, LENGTH));
    }

    #[test]
    fn does_not_depend_on_threads() {
        let case = case(1);
        assert_independent_of_threads(|| {
            let mut cache = cache();
            let slot = cache.insert(0);
            let mut all = step(&case, &mut cache, slot, 0, 80);
            all.extend(step(&case, &mut cache, slot, 80, 1));
            all
        });
    }
}
