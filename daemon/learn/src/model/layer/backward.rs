use perennial_kernels::{
    Attended, Attention as PackedAttention, AttentionGradients, Into, Turn, rms_norm, rms_norm_backward, rope, swiglu,
    swiglu_backward,
};

use super::{Context, Kept, Layer, kept::KeptIn};
use crate::model::{
    Packing, Projection, Stored, Workspace,
    delta::{DeltaNumber, Seen},
    linear::Linear,
};

impl Layer {
    /// Turns the gradient of the residual stream after the layer into that before it, and adds those of the adapter's
    /// matrices to `gradients`.
    #[expect(clippy::too_many_arguments, reason = "all of them are what the way back is made of")]
    pub(in crate::model) fn backward<E: KeptIn>(
        &self,
        index: usize,
        d: &mut [f32],
        kept: Kept<E>,
        packing: Packing<'_>,
        context: &Context<'_>,
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) {
        let Context { heads, eps, rows, .. } = *context;
        let mut back = Back { index, context, deltas: &kept.deltas, gradients };

        let mut activated: Vec<E> = workspace.take(kept.gate.len());
        swiglu(&mut activated, &kept.gate, &kept.up);
        let mut d_activated: Vec<f32> = workspace.take(kept.gate.len());
        back.linear(&self.down, Projection::DownProj, (&mut d_activated, Into::Set), d, &activated, workspace);
        let (mut d_gate, mut d_up): (Vec<E>, Vec<E>) = (activated, workspace.take(kept.up.len()));
        swiglu_backward(&mut d_gate, &mut d_up, &kept.gate, &kept.up, &d_activated);
        workspace.give(d_activated);

        let mut x: Vec<E> = workspace.take(d.len());
        let mut dx: Vec<f32> = workspace.take(d.len());
        rms_norm(&mut x, &kept.middle, &self.feed_forward_norm, eps);
        back.linear(&self.gate, Projection::GateProj, (&mut dx, Into::Set), &d_gate, &x, workspace);
        back.linear(&self.up, Projection::UpProj, (&mut dx, Into::Add), &d_up, &x, workspace);
        workspace.give(d_gate);
        workspace.give(d_up);
        rms_norm_backward(d, Into::Add, &kept.middle, &dx, &self.feed_forward_norm, eps);

        let mut d_out: Vec<f32> = workspace.take(rows.len() * heads.q_cols());
        back.linear(&self.o, Projection::OProj, (&mut d_out, Into::Set), d, &kept.attended, workspace);
        let attended = Attended { out: &kept.attended, log_sums: &kept.log_sums };
        let mut take = |like: &[E]| -> Vec<f32> { workspace.take(like.len()) };
        let (mut dq, mut dk, mut dv) = (take(&kept.q), take(&kept.k), take(&kept.v));
        let to = AttentionGradients { dq: &mut dq, dk: &mut dk, dv: &mut dv };
        match packing {
            Packing::Sequences(cu_seqlens) => {
                let attention = PackedAttention { heads, cu_seqlens, q: &kept.q, k: &kept.k, v: &kept.v };
                attention.backward(attended, &d_out, to);
            }
            Packing::Branches(branches) => {
                branches.attend_backward(heads, [&kept.q, &kept.k, &kept.v], attended, &d_out, to);
            }
        }
        workspace.give(d_out);
        if self.rope {
            rope(&mut dq, heads.dim, context.rope, &rows.positions, Turn::Back);
            rope(&mut dk, heads.dim, context.rope, &rows.positions, Turn::Back);
        }
        if let (Some((q_norm, k_norm)), Some((q, k))) = (&self.qk_norms, &kept.unnormed) {
            for (gradient, unnormed, norm) in [(&mut dq, q, q_norm), (&mut dk, k, k_norm)] {
                let mut before: Vec<f32> = workspace.take(gradient.len());
                rms_norm_backward(&mut before, Into::Set, unnormed, gradient, norm, eps);
                workspace.give(std::mem::replace(gradient, before));
            }
        }

        rms_norm(&mut x, &kept.residual, &self.attention_norm, eps);
        back.linear(&self.q, Projection::QProj, (&mut dx, Into::Set), &dq, &x, workspace);
        back.linear(&self.k, Projection::KProj, (&mut dx, Into::Add), &dk, &x, workspace);
        back.linear(&self.v, Projection::VProj, (&mut dx, Into::Add), &dv, &x, workspace);
        rms_norm_backward(d, Into::Add, &kept.residual, &dx, &self.attention_norm, eps);
        [dq, dk, dv, dx].into_iter().for_each(|buffer| workspace.give(buffer));
        workspace.give(x);
        kept.give(workspace);
    }
}

/// The backward passes of a layer's linear layers.
struct Back<'a, E> {
    index: usize,
    context: &'a Context<'a>,
    deltas: &'a [Vec<Vec<E>>],
    gradients: &'a mut [Vec<f32>],
}

impl<E: DeltaNumber> Back<'_, E> {
    fn linear<D: Stored>(
        &mut self,
        linear: &Linear,
        projection: Projection,
        dx: (&mut [f32], Into),
        dy: &[D],
        x: &[E],
        workspace: &mut Workspace,
    ) {
        let site = self.context.site(self.index, projection);
        let seen = Seen { x, kept: &self.deltas[projection as usize] };
        linear.backward(dx, dy, site, seen, self.gradients, workspace);
    }
}
