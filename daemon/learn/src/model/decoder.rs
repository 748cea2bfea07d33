use std::sync::{Arc, OnceLock};

use candle_core::{Result, bail};
use half::bf16;
use perennial_kernels::{
    Heads, Into, KvCache, Mat, MatMut, Precision, RopeTable, Span, Weight, in_pool, rms_norm, rms_norm_backward,
};

use tracing::warn;

use super::{
    AdapterWeights, Branches, Matrix, ModelConfig, Rows,
    layer::{Context, Kept, KeptIn, KeptRow, KeptStart, KeptWidths, Layer},
    workspace::Workspace,
};
use crate::adapter::Projection;

/// The weights of a model and its passes, by hand on the CPU. Cloning is cheap: weights are shared.
///
/// Only the adapter is ever differentiated: no gradient of a frozen weight is computed, nor a logit that nothing is learned
/// from.
#[derive(Clone)]
pub struct Decoder {
    pub(super) precision: Precision,
    pub(super) embeddings: Weight,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Arc<[f32]>,
    /// `None` where the head is the embedding table.
    pub(super) head: Option<Weight>,
    pub(super) rope: Arc<RopeTable>,
    pub(super) heads: Heads,
    pub(super) eps: f32,
    /// See [`Decoder::for_few_rows`].
    pub(super) packed: Arc<OnceLock<Box<Decoder>>>,
}

/// What the rows of a forward pass may look at.
pub enum Attention<'a> {
    /// Rows are whole sequences, each attending to itself alone; the starts (`cu_seqlens`, first 0, last = rows).
    Packed(&'a [u32]),
    /// Rows are those of sequences that may begin alike, each attending to itself alone.
    Branches(&'a Branches),
    /// Rows are the next tokens of cached sequences, which attend to what is cached and are cached themselves. Positions
    /// must go on from there.
    Cached {
        /// Made by [`Decoder::cache`].
        cache: &'a mut KvCache,
        /// The sequence of each stretch of rows.
        spans: &'a [Span],
    },
}

/// The rows of a pass that is gone back.
#[derive(Clone, Copy)]
pub enum Packing<'a> {
    /// As [`Attention::Packed`].
    Sequences(&'a [u32]),
    /// As [`Attention::Branches`].
    Branches(&'a Branches),
}

impl<'a> From<Packing<'a>> for Attention<'a> {
    fn from(packing: Packing<'a>) -> Self {
        match packing {
            Packing::Sequences(cu_seqlens) => Attention::Packed(cu_seqlens),
            Packing::Branches(branches) => Attention::Branches(branches),
        }
    }
}

/// A forward pass that a backward pass can follow: [`Decoder::forward`] or [`Decoder::recall`].
pub struct Tape<'a> {
    decoder: &'a Decoder,
    rows: &'a Rows,
    packing: Packing<'a>,
    adapter: &'a AdapterWeights,
    kept: Record<'a>,
    /// The residual stream before the final norm.
    last: Vec<f32>,
}

/// What the layers left behind, in the decoder's precision.
enum Record<'a> {
    F32(Vec<Trace<f32>>),
    Bf16(Vec<Trace<bf16>>),
    /// Row by row, and those that attention saw, which may stand for several places.
    Rows {
        rows: &'a [&'a KeptRow],
        seen: Vec<&'a KeptRow>,
    },
}

/// What one layer left behind for its backward pass.
enum Trace<E> {
    /// All that it needs.
    Kept(Box<Kept<E>>),
    /// The residual stream before the layer: the forward pass is computed again (activation checkpointing, arXiv 1604.06174).
    Residual(Vec<f32>),
}

impl Decoder {
    /// The hidden state of each row after the final norm: `[rows, hidden]`.
    ///
    /// # Errors
    /// Where a token or a position is outside the model.
    pub fn hidden(
        &self,
        rows: &Rows,
        attention: Attention<'_>,
        adapter: Option<&AdapterWeights>,
        workspace: &mut Workspace,
    ) -> Result<Matrix> {
        self.hidden_keeping(rows, attention, adapter, &mut [], workspace)
    }

    /// As [`hidden`](Self::hidden), and what some of the rows leave behind for a backward pass, which [`recall`](Self::recall)
    /// begins: each is given by its index, with an [`empty_row`](Self::empty_row).
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden).
    pub fn hidden_keeping(
        &self,
        rows: &Rows,
        attention: Attention<'_>,
        adapter: Option<&AdapterWeights>,
        kept_rows: &mut [(usize, KeptRow)],
        workspace: &mut Workspace,
    ) -> Result<Matrix> {
        in_pool(|| {
            let residual = self.residual(self.layers.len(), rows, attention, adapter, kept_rows, workspace)?;
            for (row, kept) in kept_rows {
                kept.push_stream(&residual[*row * self.norm.len()..][..self.norm.len()]);
            }
            let hidden = self.normed(&residual);
            workspace.give(residual);
            Ok(hidden)
        })
    }

    /// The residual stream of the base model after `layers` layers (0: the embeddings), before any final norm:
    /// `[rows, hidden]`.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden), or where there are fewer layers.
    pub fn hidden_after(
        &self,
        layers: usize,
        rows: &Rows,
        attention: Attention<'_>,
        workspace: &mut Workspace,
    ) -> Result<Matrix> {
        let residual = in_pool(|| self.residual(layers, rows, attention, None, &mut [], workspace))?;
        Ok(Matrix::new(residual, self.embeddings.inputs()))
    }

    /// The hidden states of all rows as [`hidden`](Self::hidden), and the way back from them to the adapter. The last
    /// `layers_kept` layers keep what their backward pass needs; those before them are computed a second time.
    ///
    /// # Errors
    /// As [`hidden`](Self::hidden).
    pub fn forward<'a>(
        &'a self,
        rows: &'a Rows,
        packing: Packing<'a>,
        adapter: &'a AdapterWeights,
        layers_kept: usize,
        workspace: &mut Workspace,
    ) -> Result<(Matrix, Tape<'a>)> {
        let (kept, last) = in_pool(|| match self.precision {
            Precision::F32 => {
                let (kept, last) = self.record(rows, packing, adapter, layers_kept, workspace)?;
                Ok::<_, candle_core::Error>((Record::F32(kept), last))
            }
            Precision::Bf16 => {
                let (kept, last) = self.record(rows, packing, adapter, layers_kept, workspace)?;
                Ok((Record::Bf16(kept), last))
            }
        })?;
        let hidden = self.normed(&last);
        Ok((hidden, Tape { decoder: self, rows, packing, adapter, kept, last }))
    }

    /// The forward pass of sequences all of whose rows were kept by [`hidden_keeping`](Self::hidden_keeping), with the same
    /// adapter: as [`forward`](Self::forward), but that nothing is computed. `kept_rows` are those of [`Branches::rows`].
    ///
    /// # Errors
    /// Where the rows are not so many, or of another model.
    pub fn recall<'a>(
        &'a self,
        kept_rows: &'a [&'a KeptRow],
        branches: &'a Branches,
        adapter: &'a AdapterWeights,
        workspace: &mut Workspace,
    ) -> Result<(Matrix, Tape<'a>)> {
        let (rows, hidden) = (branches.rows(), self.norm.len());
        let end = self.kept_starts(adapter).last().copied().unwrap_or_default();
        if kept_rows.len() != rows.len() || kept_rows.iter().any(|row| row.stream(end).map(<[_]>::len) != Some(hidden))
        {
            bail!("{} rows that were kept do not make up the {} rows of a pass", kept_rows.len(), rows.len());
        }
        let mut last: Vec<f32> = workspace.take(rows.len() * hidden);
        for (last, row) in last.chunks_exact_mut(hidden).zip(kept_rows) {
            last.copy_from_slice(row.stream(end).unwrap_or_default());
        }
        let normed = in_pool(|| self.normed(&last));
        let seen = match branches.spread_rows() {
            (_, Some(spread)) => spread.iter().map(|row| kept_rows[*row as usize]).collect(),
            (_, None) => kept_rows.to_vec(),
        };
        let (packing, kept) = (Packing::Branches(branches), Record::Rows { rows: kept_rows, seen });
        Ok((normed, Tape { decoder: self, rows, packing, adapter, kept, last }))
    }

    /// A row to be kept, with nothing in it yet.
    pub fn empty_row(&self, adapter: Option<&AdapterWeights>) -> KeptRow {
        let end = self.kept_starts(adapter.unwrap_or(&AdapterWeights::default())).last().copied().unwrap_or_default();
        match self.precision {
            Precision::F32 => KeptRow::with_capacity::<f32>(end, self.norm.len()),
            Precision::Bf16 => KeptRow::with_capacity::<bf16>(end, self.norm.len()),
        }
    }

    /// The logits of hidden states: `[rows, hidden]` to `[rows, vocab]`. Best given back with [`Workspace::give_matrix`].
    pub fn logits(&self, hidden: &Matrix, workspace: &mut Workspace) -> Matrix {
        let (head, rows) = (self.head_weight(), hidden.rows().len());
        let mut logits = workspace.take(rows * head.outputs());
        let h = Mat::new(hidden.values(), rows, hidden.cols());
        in_pool(|| head.product(MatMut::new(&mut logits, rows, head.outputs()), Into::Set, h));
        Matrix::new(logits, head.outputs())
    }

    /// The output matrix, `[vocab, hidden]`; the embedding table where the two are tied.
    pub fn head_weight(&self) -> &Weight {
        self.head.as_ref().unwrap_or(&self.embeddings)
    }

    /// The embedding table, `[vocab, hidden]`.
    pub fn embeddings(&self) -> &Weight {
        &self.embeddings
    }

    /// The weight of a linear layer, `[out, in]`; `None` where there is no such layer.
    pub fn weight(&self, layer: usize, projection: Projection) -> Option<&Weight> {
        Some(&self.layers.get(layer)?.linear(projection).weight)
    }

    /// What operands of products are rounded to.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same decoder with its weights packed for the kernels as well: passes over few rows are faster with it, and nothing else
    /// about them is different. They are packed when they are first asked for, and kept as long as the model: the memory of its
    /// weights once more.
    pub fn for_few_rows(&self) -> &Self {
        self.packed.get_or_init(|| {
            let mut packed = Self { packed: Arc::default(), ..self.clone() };
            let head = packed.head.as_mut().unwrap_or(&mut packed.embeddings);
            let weights = packed.layers.iter_mut().flat_map(Layer::weights_mut);
            if let Err(error) = Weight::prepack(weights.chain([head]).collect()) {
                warn!(%error, "no memory for packed weights: rollouts are slower without them");
            }
            Box::new(packed)
        })
    }

    /// The number of layers.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// The bytes that a layer's backward pass needs of each row of the forward pass, and those of the residual stream alone.
    pub fn row_bytes(&self, adapter: &AdapterWeights) -> [usize; 2] {
        let layers = self.kept_widths(adapter).map(|widths| match self.precision {
            Precision::F32 => widths.bytes::<f32>(),
            Precision::Bf16 => widths.bytes::<bf16>(),
        });
        [layers.max().unwrap_or(0), self.norm.len() * size_of::<f32>()]
    }

    /// The bytes of a [`KeptRow`].
    pub fn kept_row_bytes(&self, adapter: &AdapterWeights) -> usize {
        let [layer, stream] = self.row_bytes(adapter);
        self.layers.len() * layer + stream
    }

    fn kept_widths<'a>(&self, adapter: &'a AdapterWeights) -> impl Iterator<Item = KeptWidths<'a>> {
        self.layers
            .iter()
            .enumerate()
            .map(|(index, layer)| layer.kept_widths(self.heads, |projection| adapter.kept_widths(index, projection)))
    }

    /// Where each layer begins in a [`KeptRow`], and where they end.
    fn kept_starts(&self, adapter: &AdapterWeights) -> Vec<KeptStart> {
        let mut starts = vec![KeptStart::default()];
        for (at, widths) in self.kept_widths(adapter).enumerate() {
            starts.push(widths.end(starts[at]));
        }
        starts
    }

    /// An empty cache of this model's shape.
    pub fn cache(&self) -> KvCache {
        KvCache::new(self.precision, self.layers.len(), self.heads.kv_heads, self.heads.dim)
    }

    fn context<'a>(&'a self, rows: &'a Rows, adapter: Option<&'a AdapterWeights>) -> Context<'a> {
        Context { heads: self.heads, eps: self.eps, rope: &self.rope, rows, adapter }
    }

    fn normed(&self, residual: &[f32]) -> Matrix {
        let mut hidden = vec![0.0; residual.len()];
        rms_norm(&mut hidden, residual, &self.norm, self.eps);
        Matrix::new(hidden, self.norm.len())
    }

    fn residual(
        &self,
        layers: usize,
        rows: &Rows,
        mut attention: Attention<'_>,
        adapter: Option<&AdapterWeights>,
        kept_rows: &mut [(usize, KeptRow)],
        workspace: &mut Workspace,
    ) -> Result<Vec<f32>> {
        let Some(layers) = self.layers.get(..layers) else {
            bail!("the model has {} layers, not {layers}", self.layers.len());
        };
        let (mut residual, context) = (self.embed(rows, workspace)?, self.context(rows, adapter));
        for (index, layer) in layers.iter().enumerate() {
            let attention = &mut attention;
            residual = match self.precision {
                Precision::F32 => layer.forward::<f32>(index, residual, attention, &context, kept_rows, workspace)?,
                Precision::Bf16 => layer.forward::<bf16>(index, residual, attention, &context, kept_rows, workspace)?,
            };
        }
        Ok(residual)
    }

    fn record<E: KeptIn>(
        &self,
        rows: &Rows,
        packing: Packing<'_>,
        adapter: &AdapterWeights,
        layers_kept: usize,
        workspace: &mut Workspace,
    ) -> Result<(Vec<Trace<E>>, Vec<f32>)> {
        let (mut residual, context) = (self.embed(rows, workspace)?, self.context(rows, Some(adapter)));
        let mut all = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let kept: Kept<E>;
            (residual, kept) = layer.forward_kept(index, residual, &mut packing.into(), &context, workspace)?;
            let is_kept = index + layers_kept >= self.layers.len();
            all.push(if is_kept {
                Trace::Kept(Box::new(kept))
            } else {
                Trace::Residual(kept.into_residual(workspace))
            });
        }
        Ok((all, residual))
    }

    /// The embeddings of the rows' tokens.
    fn embed(&self, rows: &Rows, workspace: &mut Workspace) -> Result<Vec<f32>> {
        rows.check(self.embeddings.outputs(), self.rope.positions_max())?;
        let hidden = self.embeddings.inputs();
        let mut embedded = workspace.take(rows.len() * hidden);
        for (token, row) in rows.tokens.iter().zip(embedded.chunks_exact_mut(hidden)) {
            self.embeddings.row_into(*token as usize, row);
        }
        Ok(embedded)
    }

    /// The rope table of a model of this shape.
    pub(super) fn rope_table(config: &ModelConfig) -> Arc<RopeTable> {
        let frequencies = config.rope.inverse_frequencies(config.head_dim);
        Arc::new(RopeTable::new(&frequencies, config.positions_max, config.rope.attention_scaling()))
    }
}

impl Tape<'_> {
    /// Adds the gradients of the adapter's tensors to `gradients`, in the order in which [`AdapterWeights`] has them, given that
    /// of the hidden states.
    ///
    /// # Errors
    /// None that the forward pass did not have.
    ///
    /// # Panics
    /// Where shapes do not fit together.
    pub fn backward(self, d_hidden: &Matrix, gradients: &mut [Vec<f32>], workspace: &mut Workspace) -> Result<()> {
        let Self { decoder, rows, packing, adapter, kept, last } = self;
        let mut d: Vec<f32> = workspace.take(last.len());
        rms_norm_backward(&mut d, Into::Set, &last, d_hidden.values(), &decoder.norm, decoder.eps);
        workspace.give(last);
        let back = Back { decoder, packing, context: decoder.context(rows, Some(adapter)) };
        in_pool(|| match kept {
            Record::F32(traces) => back.retrace(traces, &mut d, gradients, workspace),
            Record::Bf16(traces) => back.retrace(traces, &mut d, gradients, workspace),
            Record::Rows { rows, seen } => {
                match decoder.precision {
                    Precision::F32 => back.recall::<f32>(rows, &seen, adapter, &mut d, gradients, workspace),
                    Precision::Bf16 => back.recall::<bf16>(rows, &seen, adapter, &mut d, gradients, workspace),
                }
                Ok(())
            }
        })?;
        workspace.give(d);
        Ok(())
    }
}

/// The way back through all layers.
struct Back<'a> {
    decoder: &'a Decoder,
    packing: Packing<'a>,
    context: Context<'a>,
}

impl Back<'_> {
    fn retrace<E: KeptIn>(
        &self,
        mut traces: Vec<Trace<E>>,
        d: &mut [f32],
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) -> Result<()> {
        while let Some(trace) = traces.pop() {
            let index = traces.len();
            let layer = &self.decoder.layers[index];
            let kept = match trace {
                Trace::Kept(kept) => *kept,
                Trace::Residual(residual) => {
                    let again =
                        layer.forward_kept(index, residual, &mut self.packing.into(), &self.context, workspace)?;
                    workspace.give(again.0);
                    again.1
                }
            };
            layer.backward(index, d, kept, self.packing, &self.context, gradients, workspace);
        }
        Ok(())
    }

    fn recall<E: KeptIn>(
        &self,
        rows: &[&KeptRow],
        seen: &[&KeptRow],
        adapter: &AdapterWeights,
        d: &mut [f32],
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) {
        let starts = self.decoder.kept_starts(adapter);
        let widths: Vec<KeptWidths<'_>> = self.decoder.kept_widths(adapter).collect();
        for (index, layer) in self.decoder.layers.iter().enumerate().rev() {
            let kept = Kept::<E>::of_rows(rows, seen, &widths[index], starts[index], workspace);
            layer.backward(index, d, kept, self.packing, &self.context, gradients, workspace);
        }
    }
}
