use crate::{
    cache::KEYS_TOGETHER,
    element::Element,
    exp::exp_above,
    vectorized::{LANES, vectorized},
};

/// Queries whose sums stay in registers while keys or values go by.
const TOGETHER: usize = 8;

/// The softmax of the queries that share a key head, over segments one after another, scaled anew where a later one holds a
/// greater score (arXiv 1805.02867).
pub(super) struct RunningSoftmax {
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

impl RunningSoftmax {
    pub(super) fn new(queries: usize, dim: usize) -> Self {
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
    pub(super) fn start<'a, E: Element>(&mut self, queries: impl Iterator<Item = &'a E>, scale: f32) {
        self.tokens = 0;
        self.queries.clear();
        self.queries.extend(queries.map(|value| value.to_f32() * scale));
        self.out.fill(0.0);
        self.maxima.fill(f32::NEG_INFINITY);
        self.sums.fill(0.0);
    }

    /// Adds a segment: keys as [`Segment`](crate::cache::Segment) has them. `seen` are the tokens that the first row sees of all segments; a row has
    /// `group` queries.
    pub(super) fn add<E: Element>(&mut self, seen: usize, group: usize, keys: &[E], values: &[E]) {
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
    pub(super) fn finish<E: Element>(&self, first: usize, out: &mut [E], log_sums: &mut [f32]) {
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
