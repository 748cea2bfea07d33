mod running_softmax;
#[cfg(test)]
mod tests;

use candle_core::{Result, bail};
use rayon::prelude::*;
use running_softmax::RunningSoftmax;

use crate::{
    attention::Heads,
    cache::{CachedLayer, KvCache, Segment, Span},
    element::Element,
};

const OP: &str = "cached_attention";

/// New rows of one sequence that a task scores at once: scores take this many rows times the sequence's length.
const BLOCK: usize = 32;

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
    let mut state = RunningSoftmax::new(q.len() / q_cols * group, dim);
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
