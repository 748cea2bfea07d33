use std::ops::Range;

use half::bf16;
use perennial_kernels::Heads;
use rayon::prelude::*;

use super::Layer;
use crate::model::{Projection, Workspace, delta::DeltaNumber};

/// What a layer keeps of its forward pass for the backward pass, `[rows, …]` each.
pub(in crate::model) struct Kept<E> {
    /// The residual stream before the layer, and that between attention and feed-forward.
    pub(super) residual: Vec<f32>,
    pub(super) middle: Vec<f32>,
    /// q and k before their norms, where the model has those.
    pub(super) unnormed: Option<(Vec<E>, Vec<E>)>,
    /// q and k rotated.
    pub(super) q: Vec<E>,
    pub(super) k: Vec<E>,
    pub(super) v: Vec<E>,
    pub(super) attended: Vec<E>,
    /// Of the rows as attention saw them.
    pub(super) log_sums: Vec<f32>,
    pub(super) gate: Vec<E>,
    pub(super) up: Vec<E>,
    /// Per projection, what its adapter keeps.
    pub(super) deltas: [Vec<Vec<E>>; Projection::ALL.len()],
}

/// What one row of a forward pass leaves behind for a backward pass: what each layer keeps, and last the residual stream before
/// the final norm. Rows of different passes can be gone back through together.
#[derive(Default, PartialEq)]
pub struct KeptRow {
    /// Residual streams and log-sums.
    sums: Vec<f32>,
    /// All else, in the one that is of the decoder's precision.
    f32: Vec<f32>,
    bf16: Vec<bf16>,
}

/// The types of numbers that a row is kept in.
pub(in crate::model) trait KeptIn: DeltaNumber {
    fn of(row: &KeptRow) -> &Vec<Self>;
    fn of_mut(row: &mut KeptRow) -> &mut Vec<Self>;
}

impl KeptIn for f32 {
    fn of(row: &KeptRow) -> &Vec<Self> {
        &row.f32
    }

    fn of_mut(row: &mut KeptRow) -> &mut Vec<Self> {
        &mut row.f32
    }
}

impl KeptIn for bf16 {
    fn of(row: &KeptRow) -> &Vec<Self> {
        &row.bf16
    }

    fn of_mut(row: &mut KeptRow) -> &mut Vec<Self> {
        &mut row.bf16
    }
}

/// How many values of a row each part of [`Kept`] has.
#[derive(Clone, Copy)]
pub(in crate::model) struct KeptWidths<'a> {
    stream: usize,
    q: usize,
    kv: usize,
    heads: usize,
    inner: usize,
    unnormed: bool,
    deltas: [&'a [usize]; Projection::ALL.len()],
}

/// Where a layer's part of a [`KeptRow`] begins.
#[derive(Clone, Copy, Default)]
pub(in crate::model) struct KeptStart {
    sums: usize,
    values: usize,
}

impl Layer {
    /// The widths of what the layer keeps, given those of what its adapters keep.
    pub(in crate::model) fn kept_widths<'a>(
        &self,
        heads: Heads,
        deltas: impl Fn(Projection) -> &'a [usize],
    ) -> KeptWidths<'a> {
        KeptWidths {
            stream: self.attention_norm.len(),
            q: heads.q_cols(),
            kv: heads.kv_cols(),
            heads: heads.q_heads,
            inner: self.gate.weight.outputs(),
            unnormed: self.qk_norms.is_some(),
            deltas: Projection::ALL.map(deltas),
        }
    }
}

impl KeptWidths<'_> {
    fn sums(&self) -> usize {
        2 * self.stream + self.heads
    }

    fn values(&self) -> usize {
        let unnormed = if self.unnormed { self.q + self.kv } else { 0 };
        2 * self.q + 2 * self.kv + unnormed + 2 * self.inner + self.deltas.iter().copied().flatten().sum::<usize>()
    }

    /// The bytes of one row.
    pub(in crate::model) fn bytes<E>(&self) -> usize {
        self.sums() * size_of::<f32>() + self.values() * size_of::<E>()
    }

    /// Where the next layer begins.
    pub(in crate::model) fn end(&self, start: KeptStart) -> KeptStart {
        KeptStart { sums: start.sums + self.sums(), values: start.values + self.values() }
    }
}

impl KeptRow {
    /// An empty one with room for so much.
    pub(in crate::model) fn with_capacity<E: KeptIn>(end: KeptStart, stream: usize) -> Self {
        let mut row = Self { sums: Vec::with_capacity(end.sums + stream), f32: Vec::new(), bf16: Vec::new() };
        E::of_mut(&mut row).reserve_exact(end.values);
        row
    }

    /// The memory that it takes.
    pub fn bytes(&self) -> u64 {
        let Self { sums, f32, bf16 } = self;
        (size_of_val(sums.as_slice()) + size_of_val(f32.as_slice()) + size_of_val(bf16.as_slice())) as u64
    }

    /// Its memory, for another row.
    pub(crate) fn emptied(mut self) -> Self {
        self.sums.clear();
        self.f32.clear();
        self.bf16.clear();
        self
    }

    pub(in crate::model) fn push_stream(&mut self, stream: &[f32]) {
        self.sums.extend_from_slice(stream);
    }

    /// The stream that came after all layers, where the layers end there.
    pub(in crate::model) fn stream(&self, end: KeptStart) -> Option<&[f32]> {
        self.sums.get(end.sums..)
    }
}

impl<E: KeptIn> Kept<E> {
    /// The residual stream before the layer, from which all else can be made again.
    pub(in crate::model) fn into_residual(mut self, workspace: &mut Workspace) -> Vec<f32> {
        let residual = std::mem::take(&mut self.residual);
        self.give(workspace);
        residual
    }

    /// Appends what there is of some rows to each of these.
    pub(in crate::model) fn append_to(&self, rows: usize, to: &mut [(usize, KeptRow)]) {
        let Self { residual, middle, log_sums, .. } = self;
        to.par_iter_mut().for_each(|(row, to)| {
            for part in [residual, middle, log_sums] {
                to.sums.extend_from_slice(row_of(part, *row, rows));
            }
            for part in self.values() {
                E::of_mut(to).extend_from_slice(row_of(part, *row, rows));
            }
        });
    }

    /// A layer's part of these rows, which begins at `start`; `seen` are those that attention saw.
    pub(in crate::model) fn of_rows(
        rows: &[&KeptRow],
        seen: &[&KeptRow],
        widths: &KeptWidths<'_>,
        start: KeptStart,
        workspace: &mut Workspace,
    ) -> Self {
        let mut kept = Self::new(rows.len(), seen.len(), widths, workspace);
        let Self { residual, middle, log_sums, .. } = &mut kept;
        let mut at = start.sums;
        let sums =
            [(residual, rows), (middle, rows), (log_sums, seen)].map(|(part, rows)| Part::new(part, rows, &mut at));
        sums.into_par_iter().for_each(|part| part.fill(|row| &row.sums));
        let mut at = start.values;
        let values: Vec<_> = kept.values_mut().map(|part| Part::new(part, rows, &mut at)).collect();
        values.into_par_iter().for_each(|part| part.fill(E::of));
        kept
    }

    pub(super) fn give(self, workspace: &mut Workspace) {
        let Self { residual, middle, unnormed, q, k, v, attended, gate, up, deltas, .. } = self;
        [residual, middle].into_iter().for_each(|buffer| workspace.give(buffer));
        [q, k, v, attended, gate, up].into_iter().for_each(|buffer| workspace.give(buffer));
        deltas.into_iter().flatten().for_each(|buffer| workspace.give(buffer));
        if let Some((q, k)) = unnormed {
            workspace.give(q);
            workspace.give(k);
        }
    }

    fn new(rows: usize, seen: usize, widths: &KeptWidths<'_>, workspace: &mut Workspace) -> Self {
        let KeptWidths { stream, q, kv, heads, inner, unnormed, deltas } = *widths;
        let mut sums = |width: usize| workspace.take(rows * width);
        let (residual, middle) = (sums(stream), sums(stream));
        let mut take = |width: usize| workspace.take(rows * width);
        Self {
            residual,
            middle,
            unnormed: unnormed.then(|| (take(q), take(kv))),
            q: take(q),
            k: take(kv),
            v: take(kv),
            attended: take(q),
            log_sums: vec![0.0; seen * heads],
            gate: take(inner),
            up: take(inner),
            deltas: deltas.map(|widths| widths.iter().map(|width| take(*width)).collect()),
        }
    }

    fn values(&self) -> impl Iterator<Item = &Vec<E>> {
        let Self { unnormed, q, k, v, attended, gate, up, deltas, .. } = self;
        let unnormed = unnormed.iter().flat_map(|(q, k)| [q, k]);
        unnormed.chain([q, k, v, attended, gate, up]).chain(deltas.iter().flatten())
    }

    fn values_mut(&mut self) -> impl Iterator<Item = &mut Vec<E>> {
        let Self { unnormed, q, k, v, attended, gate, up, deltas, .. } = self;
        let unnormed = unnormed.iter_mut().flat_map(|(q, k)| [q, k]);
        unnormed.chain([q, k, v, attended, gate, up]).chain(deltas.iter_mut().flatten())
    }
}

fn row_of<T>(part: &[T], row: usize, rows: usize) -> &[T] {
    let width = part.len() / rows;
    &part[row * width..(row + 1) * width]
}

/// A part of [`Kept`] that is to be made up of rows.
struct Part<'a, T> {
    to: &'a mut [T],
    rows: &'a [&'a KeptRow],
    /// Where it is in each of them.
    columns: Range<usize>,
}

impl<'a, T: Copy> Part<'a, T> {
    /// That which begins at `at` in each row, and moves that to its end.
    fn new(to: &'a mut [T], rows: &'a [&'a KeptRow], at: &mut usize) -> Self {
        let first = *at;
        *at += to.len() / rows.len().max(1);
        Self { to, rows, columns: first..*at }
    }

    fn fill(self, of: impl Fn(&KeptRow) -> &Vec<T>) {
        for (to, row) in self.to.chunks_exact_mut(self.columns.len().max(1)).zip(self.rows) {
            to.copy_from_slice(&of(row)[self.columns.clone()]);
        }
    }
}
