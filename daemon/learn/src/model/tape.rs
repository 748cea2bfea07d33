//! Forward passes that a backward pass can follow, and that one.

use candle_core::{Result, bail};
use half::bf16;
use perennial_kernels::{Into, Precision, in_pool, rms_norm_backward};

use super::{
    AdapterWeights, Branches, Decoder, KeptRow, Matrix, Packing, Rows, Workspace,
    layer::{Context, Kept, KeptIn, KeptWidths},
};

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
