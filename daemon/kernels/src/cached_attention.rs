use candle_core::{Result, bail};
use rayon::prelude::*;

use crate::{
    attention::Heads,
    cache::{CachedLayer, KEYS_TOGETHER, KvCache, Segment, Span},
    element::Element,
    exp::exp_above,
    isa::{LANES, vectorized},
};

const OP: &str = "cached_attention";

/// New rows of one sequence that a task scores at once: scores take this many rows times the sequence's length.
const BLOCK: usize = 32;

/// Queries whose sums stay in registers while keys or values go by.
const TOGETHER: usize = 8;

/// Appends the keys and values of new tokens to one layer of the cache and attends from them, causally, to all tokens of
/// their sequence.
///
/// q `[rows, heads · head_dim]`, k and v `[rows, kv_heads · head_dim]`; `spans` says which rows belong to which sequence,
/// in the order of the rows, each slot at most once. Keys are cached as they are given: rotated. Fills `out`, of the shape of q,
/// and gives the log-sums of [`Attended`](crate::Attended): with those, the backward pass of [`Attention`](crate::Attention)
/// goes back through whole sequences.
///
/// # Errors
/// Where shapes, spans or the cache do not fit together. The cache may then hold the tokens in some layers:
/// [`KvCache::truncate`] repairs that.
pub fn cached_attention<E: Element>(
    heads: Heads,
    (q, k, v): (&[E], &[E], &[E]),
    cache: &mut KvCache,
    layer: usize,
    spans: &[Span],
    out: &mut [E],
) -> Result<Vec<f32>> {
    let (q_cols, kv_cols, q_heads) = (heads.q_cols(), heads.kv_cols(), heads.q_heads);
    if cache.heads() != (heads.kv_heads, heads.dim) {
        bail!("{OP}: the cache is of {:?} key heads and values each, but there are {heads:?}", cache.heads());
    }
    let rows = spans.iter().map(|span| span.rows).sum::<usize>();
    if [q.len(), out.len()] != [rows * q_cols; 2] || [k.len(), v.len()] != [rows * kv_cols; 2] {
        bail!("{OP}: q, k and v of {}, {} and {} values do not make up {spans:?}", q.len(), k.len(), v.len());
    }

    let layers = cache.layers_mut(layer, spans.iter().map(|span| span.slot))?;
    let mut all_log_sums = vec![0.0; rows * q_heads];
    let (mut row, mut rest, mut rest_sums) = (0, out, all_log_sums.as_mut_slice());
    let tasks: Vec<_> = spans
        .iter()
        .zip(layers)
        .map(|(span, layer)| {
            let (out, log_sums);
            (out, rest) = std::mem::take(&mut rest).split_at_mut(span.rows * q_cols);
            (log_sums, rest_sums) = std::mem::take(&mut rest_sums).split_at_mut(span.rows * q_heads);
            let (queries, values) =
                (row * q_cols..(row + span.rows) * q_cols, row * kv_cols..(row + span.rows) * kv_cols);
            row += span.rows;
            (layer, &q[queries], &k[values.clone()], &v[values], (out, log_sums))
        })
        .collect();
    tasks.into_par_iter().for_each(|(mut layer, q, k, v, (out, log_sums))| {
        let before = layer.len();
        layer.append(k, v);
        let results = out.par_chunks_mut(BLOCK * q_cols).zip(log_sums.par_chunks_mut(BLOCK * q_heads));
        let blocks = q.par_chunks(BLOCK * q_cols).zip(results).enumerate();
        blocks.for_each(|(block, (q, to))| attend(heads, &layer, before + block * BLOCK + 1, q, to));
    });
    Ok(all_log_sums)
}

/// What some rows of a sequence attend to, the first of which sees so many tokens of it, itself included; and their log-sums.
fn attend<E: Element>(
    heads: Heads,
    layer: &CachedLayer<'_>,
    seen: usize,
    q: &[E],
    (out, log_sums): (&mut [E], &mut [f32]),
) {
    let (dim, group, q_cols) = (heads.dim, heads.group(), heads.q_cols());
    let mut state = State::new(q.len() / q_cols * group, dim);
    for kv_head in 0..heads.kv_heads {
        let columns = kv_head * group * dim..(kv_head + 1) * group * dim;
        state.start(q.chunks_exact(q_cols).flat_map(|row| &row[columns.clone()]), heads.scale());
        for segment in layer.segments(kv_head) {
            match segment {
                Segment::F32 { keys, values } => state.add(seen, group, keys, values),
                Segment::Bf16 { keys, values } => state.add(seen, group, keys, values),
            }
        }
        let results = out.chunks_exact_mut(q_cols).zip(log_sums.chunks_exact_mut(heads.q_heads));
        for (row, (out, log_sums)) in results.enumerate() {
            let log_sums = &mut log_sums[kv_head * group..(kv_head + 1) * group];
            state.finish(row * group, &mut out[columns.clone()], log_sums);
        }
    }
}

/// The softmax of the queries that share a key head, over segments one after another, scaled anew where a later one holds a
/// greater score (arXiv 1805.02867).
struct State {
    dim: usize,
    /// Tokens in the segments so far.
    tokens: usize,
    /// `[queries, head_dim]`, scaled.
    queries: Vec<f32>,
    /// `[queries, head_dim]`, not yet divided by the sums.
    out: Vec<f32>,
    maxima: Vec<f32>,
    sums: Vec<f32>,
    /// Of one segment: `[queries, tokens]`.
    scores: Vec<f32>,
}

impl State {
    fn new(queries: usize, dim: usize) -> Self {
        Self {
            dim,
            tokens: 0,
            queries: Vec::with_capacity(queries * dim),
            out: vec![0.0; queries * dim],
            maxima: vec![0.0; queries],
            sums: vec![0.0; queries],
            scores: Vec::new(),
        }
    }

    /// Begins anew.
    fn start<'a, E: Element>(&mut self, queries: impl Iterator<Item = &'a E>, scale: f32) {
        self.tokens = 0;
        self.queries.clear();
        self.queries.extend(queries.map(|value| value.to_f32() * scale));
        self.out.fill(0.0);
        self.maxima.fill(f32::NEG_INFINITY);
        self.sums.fill(0.0);
    }

    /// Adds a segment: keys as [`Segment`] has them. `seen` are the tokens that the first row sees of all segments; a row has
    /// `group` queries.
    fn add<E: Element>(&mut self, seen: usize, group: usize, keys: &[E], values: &[E]) {
        let (dim, tokens) = (self.dim, values.len() / self.dim);
        let stride = keys.len() / dim;
        self.scores.resize(self.sums.len() * stride, 0.0);
        dots(&mut self.scores, &self.queries, keys, dim);
        for (at, scores) in self.scores.chunks_exact_mut(stride).enumerate() {
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
        add_weighted(&mut self.out, &self.scores, values, dim);
        self.tokens += tokens;
    }

    /// What the queries from `first` on attend to, and their log-sums.
    fn finish<E: Element>(&self, first: usize, out: &mut [E], log_sums: &mut [f32]) {
        let attended = self.out[first * self.dim..].chunks_exact(self.dim);
        let softmax = self.maxima[first..].iter().zip(&self.sums[first..]);
        let to = out.chunks_exact_mut(self.dim).zip(log_sums);
        for ((out, log_sum), (attended, (max, sum))) in to.zip(attended.zip(softmax)) {
            out.iter_mut().zip(attended).for_each(|(out, value)| *out = E::from_f32(value / sum));
            *log_sum = max + sum.ln();
        }
    }
}

/// Calls a function whose number of queries is a constant, at most [`TOGETHER`].
macro_rules! for_count {
    ($count:expr, $function:ident($($arg:expr),*)) => {
        match $count {
            1 => $function::<1, E>($($arg),*),
            2 => $function::<2, E>($($arg),*),
            3 => $function::<3, E>($($arg),*),
            4 => $function::<4, E>($($arg),*),
            5 => $function::<5, E>($($arg),*),
            6 => $function::<6, E>($($arg),*),
            7 => $function::<7, E>($($arg),*),
            _ => $function::<8, E>($($arg),*),
        }
    };
}
vectorized! {
    /// `scores[i, t] = queries[i] · keys[t]`, keys in blocks of `[head_dim, KEYS_TOGETHER]`.
    fn dots<E: Element>(scores: &mut [f32], queries: &[f32], keys: &[E], dim: usize) {
        let stride = keys.len() / dim;
        for (scores, queries) in scores.chunks_mut(TOGETHER * stride).zip(queries.chunks(TOGETHER * dim)) {
            for_count!(queries.len() / dim, dots_of(scores, queries, keys, dim));
        }
    }
}

vectorized! {
    /// `out[i] += Σ_t weights[i, t] · values[t]`
    fn add_weighted<E: Element>(out: &mut [f32], weights: &[f32], values: &[E], dim: usize) {
        let stride = weights.len() / (out.len() / dim);
        for (out, weights) in out.chunks_mut(TOGETHER * dim).zip(weights.chunks(TOGETHER * stride)) {
            for_count!(out.len() / dim, add_columns(out, weights, values, dim));
        }
    }
}

#[inline(always)]
fn dots_of<const QUERIES: usize, E: Element>(scores: &mut [f32], queries: &[f32], keys: &[E], dim: usize) {
    let stride = keys.len() / dim;
    let queries: [&[f32]; QUERIES] = std::array::from_fn(|query| &queries[query * dim..][..dim]);
    for (block, keys) in keys.chunks_exact(dim * KEYS_TOGETHER).enumerate() {
        let mut sums = [[0.0_f32; KEYS_TOGETHER]; QUERIES];
        for (at, keys) in keys.as_chunks::<KEYS_TOGETHER>().0.iter().enumerate() {
            let keys = keys.map(E::to_f32);
            for (sums, query) in sums.iter_mut().zip(queries) {
                let query = query[at];
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum += query * key;
                }
            }
        }
        for (query, sums) in sums.iter().enumerate() {
            scores[query * stride + block * KEYS_TOGETHER..][..KEYS_TOGETHER].copy_from_slice(sums);
        }
    }
}

#[inline(always)]
fn add_columns<const QUERIES: usize, E: Element>(out: &mut [f32], weights: &[f32], values: &[E], dim: usize) {
    let stride = weights.len() / QUERIES;
    let tokens = values.len() / dim;
    let weights: [&[f32]; QUERIES] = std::array::from_fn(|query| &weights[query * stride..][..tokens]);
    for first in (0..dim).step_by(LANES) {
        let width = LANES.min(dim - first);
        let mut sums = [[0.0_f32; LANES]; QUERIES];
        for (query, sums) in sums.iter_mut().enumerate() {
            sums[..width].copy_from_slice(&out[query * dim + first..][..width]);
        }
        for (token, value) in values.chunks_exact(dim).enumerate() {
            let mut widened = [0.0; LANES];
            match value[first..].first_chunk::<LANES>() {
                Some(value) => widened = value.map(E::to_f32),
                None => widened.iter_mut().zip(&value[first..]).for_each(|(widened, value)| *widened = value.to_f32()),
            }
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let weight = weights[token];
                for (sum, value) in sums.iter_mut().zip(widened) {
                    *sum += weight * value;
                }
            }
        }
        for (query, sums) in sums.iter().enumerate() {
            out[query * dim + first..][..width].copy_from_slice(&sums[..width]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attention::Attention,
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
        attend(case.rows(first, rows), cache, &[Span { slot, rows }])
    }

    fn attend(qkv: (&[f32], &[f32], &[f32]), cache: &mut KvCache, spans: &[Span]) -> Vec<f32> {
        let mut out = vec![0.0; qkv.0.len()];
        cached_attention(HEADS, qkv, cache, 0, spans, &mut out).unwrap();
        out
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
    fn log_sums_are_those_of_whole_sequences() {
        let (case, mut cache) = (case(1), cache());
        let (q, k, v) = case.rows(0, LENGTH);
        let whole = Attention { heads: HEADS, cu_seqlens: &[0, LENGTH as u32], q, k, v };
        let expected = whole.forward(&mut vec![0.0; q.len()]);
        let slot = cache.insert(0);
        let mut log_sums = Vec::new();
        for (first, rows) in [(0, 50), (50, 1), (51, LENGTH - 51)] {
            let (qkv, spans) = (case.rows(first, rows), [Span { slot, rows }]);
            let mut out = vec![0.0; qkv.0.len()];
            log_sums.extend(cached_attention(HEADS, qkv, &mut cache, 0, &spans, &mut out).unwrap());
        }
        assert_close(&log_sums, &expected, 2e-6);
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
        let out = attend((&q, &k, &v), &mut cache, &spans);
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
            let (qkv, mut out) = (case.rows(0, LENGTH), vec![0.0; LENGTH * HEADS.q_cols()]);
            cached_attention(HEADS, qkv, &mut cache, layer, &[Span { slot, rows }], &mut out).is_err()
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
