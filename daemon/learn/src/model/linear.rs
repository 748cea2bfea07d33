use std::sync::Arc;

use perennial_kernels::{Into, Mat, MatMut, Threads, Weight, gemm};

use super::workspace::{Stored, Workspace};

/// A frozen linear layer: `[out, in]`, and `[out]`.
#[derive(Clone)]
pub(super) struct Linear {
    pub(super) weight: Weight,
    pub(super) bias: Option<Arc<[f32]>>,
}

/// The adapter of a linear layer: LoRA (arXiv 2106.09685), in the precision of a decoder.
#[derive(Clone)]
pub(super) struct Lora {
    /// `[rank, in]`
    pub(super) a: Weight,
    /// `[out, rank]`, times the scale.
    pub(super) b: Weight,
    pub(super) scale: f32,
    /// The place of A's gradient among those of all matrices; B's is the next.
    pub(super) gradient: usize,
}

impl Linear {
    /// `y (+)= x · wᵀ + bias + scale · (x · aᵀ) · bᵀ` for x `[rows, in]`. Gives `x · aᵀ`, which the backward pass needs.
    pub(super) fn forward<E: Stored>(
        &self,
        y: &mut [f32],
        into: Into,
        x: &[E],
        lora: Option<&Lora>,
        workspace: &mut Workspace,
    ) -> Option<Vec<E>> {
        let (inputs, outputs) = (self.weight.inputs(), self.weight.outputs());
        let rows = y.len() / outputs;
        let x = Mat::new(x, rows, inputs);
        self.weight.product(MatMut::new(y, rows, outputs), into, x);
        if let Some(bias) = &self.bias {
            for y in y.chunks_exact_mut(outputs) {
                y.iter_mut().zip(bias.iter()).for_each(|(y, bias)| *y += bias);
            }
        }
        let lora = lora?;
        let rank = lora.a.outputs();
        let mut down: Vec<f32> = workspace.take(rows * rank);
        lora.a.product(MatMut::new(&mut down, rows, rank), Into::Set, x);
        let rounded: Vec<E> = workspace.copy(&down);
        workspace.give(down);
        lora.b.product(MatMut::new(y, rows, outputs), Into::Add, Mat::new(&rounded, rows, rank));
        Some(rounded)
    }

    /// Adds the gradients of the adapter to `gradients`, and that of x to `dx`: given that of y, and what the forward pass
    /// saw and gave. There is none of the weight.
    pub(super) fn backward<E: Stored, D: Stored>(
        &self,
        (dx, into): (&mut [f32], Into),
        dy: &[D],
        x: &[E],
        lora: Option<(&Lora, &[E])>,
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) {
        let (inputs, outputs) = (self.weight.inputs(), self.weight.outputs());
        let rows = dy.len() / outputs;
        let dy = Mat::new(dy, rows, outputs);
        self.weight.transposed_product(MatMut::new(dx, rows, inputs), into, dy);
        let Some((lora, down)) = lora else { return };
        let rank = lora.a.outputs();
        let mut d_down: Vec<f32> = workspace.take(rows * rank);
        lora.b.transposed_product(MatMut::new(&mut d_down, rows, rank), Into::Set, dy);
        let rounded: Vec<E> = workspace.copy(&d_down);
        workspace.give(d_down);
        let d_down = Mat::new(&rounded, rows, rank);
        lora.a.transposed_product(MatMut::new(dx, rows, inputs), Into::Add, d_down);

        let da = MatMut::new(&mut gradients[lora.gradient], rank, inputs);
        gemm(da, Into::Add, 1.0, d_down.t(), Mat::new(x, rows, inputs), E::PRECISION, Threads::Pool);
        let db = MatMut::new(&mut gradients[lora.gradient + 1], outputs, rank);
        gemm(db, Into::Add, lora.scale, dy.t(), Mat::new(down, rows, rank), E::PRECISION, Threads::Pool);
        workspace.give(rounded);
    }
}
