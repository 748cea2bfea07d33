use std::sync::Arc;

use perennial_kernels::{Element, Into, Mat, MatMut, Shared, Threads, Weight, WeightProduct, gemm, products};

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

/// A linear layer and where what it makes of its input goes.
pub(super) struct Output<'a> {
    pub(super) linear: &'a Linear,
    pub(super) lora: Option<&'a Lora>,
    /// `[rows, out]`
    pub(super) y: &'a mut [f32],
    pub(super) into: Into,
}

/// `y (+)= x · wᵀ + bias + scale · (x · aᵀ) · bᵀ` for linear layers that read the same x `[rows, in]`. Gives `x · aᵀ` of each,
/// which the backward pass needs.
pub(super) fn forward<E: Stored, const LAYERS: usize>(
    mut layers: [Output<'_>; LAYERS],
    x: &[E],
    rows: usize,
    workspace: &mut Workspace,
) -> [Option<Vec<E>>; LAYERS] {
    let mut inner: [Option<Vec<f32>>; LAYERS] =
        std::array::from_fn(|at| layers[at].lora.map(|lora| workspace.take(rows * lora.a.outputs())));
    let x = &Shared::new(Mat::new(x, rows, x.len() / rows.max(1)), 2 * LAYERS);
    let first = layers.iter().zip(&mut inner).filter_map(|(Output { lora, .. }, down)| {
        let weight = &(*lora)?.a;
        let y = MatMut::new(down.as_mut()?, rows, weight.outputs());
        Some(WeightProduct { weight, transposed: false, x, low_rank: None, y, into: Into::Set })
    });
    products(first.collect());
    let downs: [Option<Vec<E>>; LAYERS] = inner.map(|down| Some(E::rounded(down?, workspace)));
    let second =
        layers.iter_mut().zip(&downs).map(|(Output { linear: Linear { weight, .. }, lora, y, into }, down)| {
            let low_rank = lora.zip(down.as_ref()).map(|(lora, down)| (&lora.b, Mat::new(down, rows, lora.b.inputs())));
            let y = MatMut::new(y, rows, weight.outputs());
            WeightProduct { weight, transposed: false, x, low_rank, y, into: *into }
        });
    products(second.collect());
    for Output { linear, y, .. } in &mut layers {
        let Some(bias) = &linear.bias else { continue };
        for y in y.chunks_exact_mut(bias.len()) {
            y.iter_mut().zip(bias.iter()).for_each(|(y, bias)| *y += bias);
        }
    }
    downs
}

impl Linear {
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
        // Four products read it: it is rounded once for all of them.
        let rounded: Option<Vec<E>> =
            f32::of_slice(dy).filter(|_| E::of_slice(dy).is_none()).map(|dy| workspace.copy(dy));
        let dy: &[E] = rounded.as_deref().or(E::of_slice(dy)).unwrap_or_default();
        let (dx, dy) = (MatMut::new(dx, rows, inputs), Mat::new(dy, rows, outputs));
        if let Some((lora, down)) = lora {
            let (rank, shared) = (lora.a.outputs(), &Shared::new(dy, 2));
            let mut d_down: Vec<f32> = workspace.take(rows * rank);
            let (weight, y) = (&lora.b, MatMut::new(&mut d_down, rows, rank));
            products(vec![WeightProduct { weight, transposed: true, x: shared, low_rank: None, y, into: Into::Set }]);
            let d_down_rounded = E::rounded(d_down, workspace);
            let d_down = Mat::new(&d_down_rounded, rows, rank);
            let (weight, low_rank) = (&self.weight, Some((&lora.a, d_down)));
            products(vec![WeightProduct { weight, transposed: true, x: shared, low_rank, y: dx, into }]);

            let da = MatMut::new(&mut gradients[lora.gradient], rank, inputs);
            gemm(da, Into::Add, 1.0, d_down.t(), Mat::new(x, rows, inputs), E::PRECISION, Threads::Pool);
            let db = MatMut::new(&mut gradients[lora.gradient + 1], outputs, rank);
            gemm(db, Into::Add, lora.scale, dy.t(), Mat::new(down, rows, rank), E::PRECISION, Threads::Pool);
            workspace.give(d_down_rounded);
        } else {
            self.weight.transposed_product(dx, into, dy);
        }
        rounded.into_iter().for_each(|rounded| workspace.give(rounded));
    }
}
