use candle_core::Result;
use perennial_kernels::{Attention as PackedAttention, Into, Turn, cached_attention, convert, rms_norm, rope, swiglu};

use super::{Context, Kept, Layer};
use crate::{
    adapter::Projection,
    model::{
        Attention,
        linear::Linear,
        workspace::{Stored, Workspace},
    },
};

impl Layer {
    /// The residual stream after the layer, in the place of that before it.
    pub(in crate::model) fn forward<E: Stored>(
        &self,
        index: usize,
        residual: &mut Vec<f32>,
        attention: &mut Attention<'_>,
        context: &Context<'_>,
        workspace: &mut Workspace,
    ) -> Result<()> {
        let (after, kept) = self.forward_kept::<E>(index, std::mem::take(residual), attention, context, workspace)?;
        kept.give(workspace);
        *residual = after;
        Ok(())
    }

    /// The residual stream after the layer, and what its backward pass needs.
    pub(in crate::model) fn forward_kept<E: Stored>(
        &self,
        index: usize,
        residual: Vec<f32>,
        attention: &mut Attention<'_>,
        context: &Context<'_>,
        workspace: &mut Workspace,
    ) -> Result<(Vec<f32>, Kept<E>)> {
        let Context { heads, eps, rows, .. } = *context;
        let mut downs = [const { None }; Projection::ALL.len()];
        let mut linear = |linear: &Linear, projection: Projection, y: &mut [f32], into, x: &[E], ws: &mut Workspace| {
            downs[projection as usize] = linear.forward(y, into, x, context.lora(index, projection), ws);
        };

        let mut x: Vec<E> = workspace.take(residual.len());
        rms_norm(&mut x, &residual, &self.attention_norm, eps);
        let mut project = |weights: &Linear, projection, workspace: &mut Workspace| {
            let mut y = workspace.take(rows.len() * weights.weight.outputs());
            linear(weights, projection, &mut y, Into::Set, &x, workspace);
            y
        };
        let mut q: Vec<f32> = project(&self.q, Projection::QProj, workspace);
        let mut k: Vec<f32> = project(&self.k, Projection::KProj, workspace);
        let v: Vec<f32> = project(&self.v, Projection::VProj, workspace);
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
        let rounded: [Vec<E>; 3] = [&q, &k, &v].map(|values| workspace.copy(values));
        let [q_rounded, k_rounded, v_rounded] = &rounded;
        let mut attended: Vec<E> = workspace.take(q.len());
        let log_sums = match attention {
            Attention::Packed(cu_seqlens) => {
                PackedAttention { heads, cu_seqlens, q: q_rounded, k: k_rounded, v: v_rounded }.forward(&mut attended)
            }
            Attention::Branches(branches) => branches.attend(heads, [q_rounded, k_rounded, v_rounded], &mut attended),
            Attention::Cached { cache, spans } => {
                convert(&mut attended, &cached_attention(heads, (&q, &k, &v), cache, index, spans)?);
                Vec::new()
            }
        };
        [q, k, v].into_iter().for_each(|buffer| workspace.give(buffer));

        let mut middle: Vec<f32> = workspace.copy(&residual);
        linear(&self.o, Projection::OProj, &mut middle, Into::Add, &attended, workspace);

        let mut x: Vec<E> = workspace.take(middle.len());
        rms_norm(&mut x, &middle, &self.feed_forward_norm, eps);
        let mut project = |weights: &Linear, projection, workspace: &mut Workspace| {
            let mut y: Vec<f32> = workspace.take(rows.len() * weights.weight.outputs());
            linear(weights, projection, &mut y, Into::Set, &x, workspace);
            let rounded: Vec<E> = workspace.copy(&y);
            workspace.give(y);
            rounded
        };
        let gate = project(&self.gate, Projection::GateProj, workspace);
        let up = project(&self.up, Projection::UpProj, workspace);
        workspace.give(x);
        let mut activated: Vec<E> = workspace.take(gate.len());
        swiglu(&mut activated, &gate, &up);
        let mut after: Vec<f32> = workspace.copy(&middle);
        linear(&self.down, Projection::DownProj, &mut after, Into::Add, &activated, workspace);
        workspace.give(activated);

        let [q, k, v] = rounded;
        Ok((after, Kept { residual, middle, unnormed, q, k, v, attended, log_sums, gate, up, downs }))
    }
}
