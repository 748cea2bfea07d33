//! What an adapter changes in a linear layer, in the passes by hand. Each kind of adapter implements [`Delta`] in its own file
//! (`adapter/kind/`); the passes know no kind.

use half::bf16;
use perennial_kernels::{Into, Mat, MatMut, Precision, Shared, Threads, Weight, WeightProduct, gemm, products};

use super::workspace::{Stored, Workspace};

/// The adapter of one linear layer, in the precision of a decoder.
pub(crate) trait Delta: DeltaIn<f32> + DeltaIn<bf16> + Send + Sync {
    /// The pair of matrices whose product the layer's own products take along.
    fn low_rank(&self) -> Option<&LowRank>;

    /// As [`low_rank`](Self::low_rank).
    fn low_rank_mut(&mut self) -> Option<&mut LowRank>;

    /// Whether [`finish`](DeltaIn::finish) has something to do.
    fn finishes(&self) -> bool {
        false
    }

    /// How many values of each row [`finish`](DeltaIn::finish) keeps in each of its parts.
    fn finish_widths(&self) -> Vec<usize> {
        Vec::new()
    }
}

/// The part of [`Delta`] that depends on the numbers that products read.
pub(crate) trait DeltaIn<E: Stored> {
    /// Turns the layer's product, with that of the [low-rank pair](Delta::low_rank) but without the bias, into what the layer
    /// gives: `[rows, out]`. Returns what the backward pass needs of it.
    fn finish(&self, _y: &mut [f32], _workspace: &mut Workspace) -> Vec<Vec<E>> {
        Vec::new()
    }

    /// Adds the gradients of the adapter's tensors to `gradients`, in their order, and that of x to `dx`. There is none of the
    /// layer's weight.
    fn backward(
        &self,
        weight: &Weight,
        dx: (MatMut<'_>, Into),
        dy: &[E],
        seen: Seen<'_, E>,
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    );
}

/// The types of numbers that the passes of an adapter are over.
pub(super) trait DeltaNumber: Stored {
    fn passes_of(delta: &dyn Delta) -> &dyn DeltaIn<Self>;
}

impl DeltaNumber for f32 {
    fn passes_of(delta: &dyn Delta) -> &dyn DeltaIn<Self> {
        delta
    }
}

impl DeltaNumber for bf16 {
    fn passes_of(delta: &dyn Delta) -> &dyn DeltaIn<Self> {
        delta
    }
}

/// What the forward pass of a linear layer saw and kept.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a, E> {
    /// `[rows, in]`
    pub(crate) x: &'a [E],
    /// Where there is a low-rank pair, first `x · aᵀ`; then what [`DeltaIn::finish`] gave.
    pub(crate) kept: &'a [Vec<E>],
}

/// Two matrices whose product is added to a weight: `scale · b · a`.
pub(crate) struct LowRank {
    /// `[rank, in]`
    pub(super) a: Weight,
    /// `[out, rank]`, times the scale.
    pub(super) b: Weight,
    scale: f32,
}

impl LowRank {
    /// Of a `[rank, in]` and b `[out, rank]`, row by row.
    pub(crate) fn new((a, mut b): (Vec<f32>, Vec<f32>), rank: usize, scale: f32, precision: Precision) -> Self {
        b.iter_mut().for_each(|value| *value *= scale);
        let (inputs, outputs) = (a.len() / rank, b.len() / rank);
        let weight = |values: Vec<f32>, outputs, inputs| match precision {
            Precision::F32 => Weight::from_f32(values, outputs, inputs),
            Precision::Bf16 => {
                Weight::from_bf16(values.iter().map(|value| bf16::from_f32(*value)).collect(), outputs, inputs)
            }
        };
        Self { a: weight(a, rank, inputs), b: weight(b, outputs, rank), scale }
    }

    /// The backward pass of `y (+)= x · (w + scale · b · a)ᵀ`, given `down`, which is `x · aᵀ`. Adds the gradients of a and b to
    /// the first two of `gradients`.
    pub(crate) fn backward<E: Stored>(
        &self,
        weight: &Weight,
        (dx, into): (MatMut<'_>, Into),
        dy: &[E],
        (x, down): (&[E], &[E]),
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) {
        let (inputs, outputs, rank) = (weight.inputs(), weight.outputs(), self.a.outputs());
        let rows = dy.len() / outputs;
        let dy = Mat::new(dy, rows, outputs);
        let shared = &Shared::new(dy, 2);
        let mut d_down: Vec<f32> = workspace.take(rows * rank);
        let y = MatMut::new(&mut d_down, rows, rank);
        products(vec![WeightProduct {
            weight: &self.b,
            transposed: true,
            x: shared,
            low_rank: None,
            y,
            into: Into::Set,
        }]);
        let d_down_rounded = E::rounded(d_down, workspace);
        let d_down = Mat::new(&d_down_rounded, rows, rank);
        let low_rank = Some((&self.a, d_down));
        products(vec![WeightProduct { weight, transposed: true, x: shared, low_rank, y: dx, into }]);

        if let [da, db, ..] = gradients {
            let da = MatMut::new(da, rank, inputs);
            gemm(da, Into::Add, 1.0, d_down.t(), Mat::new(x, rows, inputs), E::PRECISION, Threads::Pool);
            let db = MatMut::new(db, outputs, rank);
            gemm(db, Into::Add, self.scale, dy.t(), Mat::new(down, rows, rank), E::PRECISION, Threads::Pool);
        }
        workspace.give(d_down_rounded);
    }
}

/// How many values of each row a linear layer keeps in each part of [`Seen::kept`].
pub(super) fn kept_widths(delta: &dyn Delta) -> Vec<usize> {
    delta.low_rank().map(|low_rank| low_rank.a.outputs()).into_iter().chain(delta.finish_widths()).collect()
}
