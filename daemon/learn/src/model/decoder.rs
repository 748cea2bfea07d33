use std::sync::{Arc, OnceLock};

use candle_core::{Result, bail};
use half::bf16;
use perennial_kernels::{Heads, Into, KvCache, Mat, MatMut, Precision, RopeTable, Weight, in_pool, rms_norm};
use tracing::warn;

use super::{
    AdapterWeights, Attention, Matrix, ModelConfig, Projection, Rows,
    layer::{Context, KeptRow, KeptStart, KeptWidths, Layer},
    workspace::Workspace,
};

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

    /// What a [`KeptRow`] of this decoder takes, that of every layer and of the residual stream.
    pub fn kept_row_bytes(&self, adapter: &AdapterWeights) -> usize {
        let [layer, stream] = self.row_bytes(adapter);
        self.layers.len() * layer + stream
    }

    pub(super) fn kept_widths<'a>(&self, adapter: &'a AdapterWeights) -> impl Iterator<Item = KeptWidths<'a>> {
        self.layers
            .iter()
            .enumerate()
            .map(|(index, layer)| layer.kept_widths(self.heads, |projection| adapter.kept_widths(index, projection)))
    }

    /// Where each layer begins in a [`KeptRow`], and where they end.
    pub(super) fn kept_starts(&self, adapter: &AdapterWeights) -> Vec<KeptStart> {
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

    pub(super) fn context<'a>(&'a self, rows: &'a Rows, adapter: Option<&'a AdapterWeights>) -> Context<'a> {
        Context { heads: self.heads, eps: self.eps, rope: &self.rope, rows, adapter }
    }

    pub(super) fn normed(&self, residual: &[f32]) -> Matrix {
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

    /// The embeddings of the rows' tokens.
    pub(super) fn embed(&self, rows: &Rows, workspace: &mut Workspace) -> Result<Vec<f32>> {
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
