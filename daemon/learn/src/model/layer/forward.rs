use candle_core::Result;
use perennial_kernels::{Attention as PackedAttention, Into, Turn, cached_attention, rms_norm, rope, swiglu};

use super::{Context, Kept, KeptRow, Layer, kept::KeptIn};
use crate::model::{
    Attention, Projection, Workspace,
    delta::{Delta, DeltaNumber},
    linear::{self, Linear, Output},
};

impl Layer {
    /// The residual stream after the layer. What some rows leave behind is appended to `kept_rows`.
    pub(in crate::model) fn forward<E: KeptIn>(
        &self,
        index: usize,
        residual: Vec<f32>,
        attention: &mut Attention<'_>,
        context: &Context<'_>,
        kept_rows: &mut [(usize, KeptRow)],
        workspace: &mut Workspace,
    ) -> Result<Vec<f32>> {
        let (after, kept) = self.forward_kept::<E>(index, residual, attention, context, workspace)?;
        kept.append_to(context.rows.len(), kept_rows);
        kept.give(workspace);
        Ok(after)
    }

    /// The residual stream after the layer, and what its backward pass needs.
    pub(in crate::model) fn forward_kept<E: KeptIn>(
        &self,
        index: usize,
        residual: Vec<f32>,
        attention: &mut Attention<'_>,
        context: &Context<'_>,
        workspace: &mut Workspace,
    ) -> Result<(Vec<f32>, Kept<E>)> {
        let Context { heads, eps, rows, .. } = *context;
        let delta = |projection| context.site(index, projection).map(|site| &*site.delta);
        let mut deltas = [const { Vec::new() }; Projection::ALL.len()];

        let mut x: Vec<E> = workspace.take(residual.len());
        rms_norm(&mut x, &residual, &self.attention_norm, eps);
        let of = [(&self.q, Projection::QProj), (&self.k, Projection::KProj), (&self.v, Projection::VProj)];
        let [mut q, mut k, v] = project(of, delta, &x, &mut deltas, rows.len(), workspace);
        workspace.give(x);
        let unnormed = self.qk_norms.as_ref().map(|(q_norm, k_norm)| {
            let unnormed: (Vec<E>, Vec<E>) = (workspace.copy(&q), workspace.copy(&k));
            rms_norm(&mut q, &unnormed.0, q_norm, eps);
            rms_norm(&mut k, &unnormed.1, k_norm, eps);
            unnormed
        });
        if self.rope {
            rope(&mut q, heads.dim, context.rope, &rows.positions, Turn::Forth);
            rope(&mut k, heads.dim, context.rope, &rows.positions, Turn::Forth);
        }
        let mut attended: Vec<E> = workspace.take(q.len());
        let kept = [q, k, v].map(|values| E::rounded(values, workspace));
        let [q, k, v] = kept.each_ref().map(Vec::as_slice);
        let log_sums = match attention {
            Attention::Packed(cu_seqlens) => PackedAttention { heads, cu_seqlens, q, k, v }.forward(&mut attended),
            Attention::Branches(branches) => branches.attend(heads, [q, k, v], &mut attended),
            Attention::Cached { cache, spans } => {
                cached_attention(heads, (q, k, v), cache, index, spans, &mut attended)?
            }
        };

        let mut middle: Vec<f32> = workspace.copy(&residual);
        let o = Output { linear: &self.o, delta: delta(Projection::OProj), y: &mut middle, into: Into::Add };
        [deltas[Projection::OProj as usize]] = linear::forward([o], &attended, rows.len(), workspace);

        let mut x: Vec<E> = workspace.take(middle.len());
        rms_norm(&mut x, &middle, &self.feed_forward_norm, eps);
        let of = [(&self.gate, Projection::GateProj), (&self.up, Projection::UpProj)];
        let [gate, up] = project(of, delta, &x, &mut deltas, rows.len(), workspace).map(|y| E::rounded(y, workspace));
        workspace.give(x);
        let mut activated: Vec<E> = workspace.take(gate.len());
        swiglu(&mut activated, &gate, &up);
        let mut after: Vec<f32> = workspace.copy(&middle);
        let down = Output { linear: &self.down, delta: delta(Projection::DownProj), y: &mut after, into: Into::Add };
        [deltas[Projection::DownProj as usize]] = linear::forward([down], &activated, rows.len(), workspace);
        workspace.give(activated);

        let [q, k, v] = kept;
        Ok((after, Kept { residual, middle, unnormed, q, k, v, attended, log_sums, gate, up, deltas }))
    }
}

/// What linear layers make of the same x `[rows, in]`. `deltas` gets what [`linear::forward`] gives, by projection.
fn project<'a, E: DeltaNumber, const LAYERS: usize>(
    layers: [(&'a Linear, Projection); LAYERS],
    delta: impl Fn(Projection) -> Option<&'a dyn Delta>,
    x: &[E],
    deltas: &mut [Vec<Vec<E>>],
    rows: usize,
    workspace: &mut Workspace,
) -> [Vec<f32>; LAYERS] {
    let mut layers =
        layers.map(|(linear, projection)| (linear, projection, workspace.take(rows * linear.weight.outputs())));
    let outputs = layers.each_mut().map(|(linear, projection, y)| Output {
        linear,
        delta: delta(*projection),
        y,
        into: Into::Set,
    });
    let kept = linear::forward(outputs, x, rows, workspace);
    for ((_, projection, _), kept) in layers.iter().zip(kept) {
        deltas[*projection as usize] = kept;
    }
    layers.map(|(_, _, y)| y)
}
