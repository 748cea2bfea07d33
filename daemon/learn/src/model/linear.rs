use std::sync::Arc;

use perennial_kernels::{Element, Into, Mat, MatMut, Shared, Weight, WeightProduct, products};

use super::{
    adapter_weights::SiteWeights,
    delta::{Delta, DeltaNumber, Seen},
    workspace::{Stored, Workspace},
};

/// A frozen linear layer: `[out, in]`, and `[out]`.
#[derive(Clone)]
pub(super) struct Linear {
    pub(super) weight: Weight,
    pub(super) bias: Option<Arc<[f32]>>,
}

/// A linear layer and where what it makes of its input goes.
pub(super) struct Output<'a> {
    pub(super) linear: &'a Linear,
    pub(super) delta: Option<&'a dyn Delta>,
    /// `[rows, out]`
    pub(super) y: &'a mut [f32],
    pub(super) into: Into,
}

/// `y (+)= x · wᵀ + bias`, with what an adapter changes about it, for linear layers that read the same x `[rows, in]`. Gives what
/// the backward pass of each adapter needs, as [`Seen::kept`].
pub(super) fn forward<E: DeltaNumber, const LAYERS: usize>(
    mut layers: [Output<'_>; LAYERS],
    x: &[E],
    rows: usize,
    workspace: &mut Workspace,
) -> [Vec<Vec<E>>; LAYERS] {
    let pairs = layers.each_ref().map(|layer| layer.delta.and_then(Delta::low_rank));
    let mut inner = pairs.map(|pair| pair.map(|pair| workspace.take::<f32>(rows * pair.a.outputs())));
    let x = &Shared::new(Mat::new(x, rows, x.len() / rows.max(1)), 2 * LAYERS);
    let first = pairs.iter().zip(&mut inner).filter_map(|(pair, down)| {
        let weight = &(*pair)?.a;
        let y = MatMut::new(down.as_mut()?, rows, weight.outputs());
        Some(WeightProduct { weight, transposed: false, x, low_rank: None, y, into: Into::Set })
    });
    products(first.collect());
    let downs: [Option<Vec<E>>; LAYERS] = inner.map(|down| Some(E::rounded(down?, workspace)));
    let mut apart = layers.each_ref().map(|layer| layer.product_apart(workspace));
    let second =
        layers.iter_mut().zip(&mut apart).zip(pairs.iter().zip(&downs)).map(|((layer, apart), (pair, down))| {
            let Output { linear: Linear { weight, .. }, y, into, .. } = layer;
            let low_rank = pair.zip(down.as_ref()).map(|(pair, down)| (&pair.b, Mat::new(down, rows, pair.b.inputs())));
            let (y, into) = match apart {
                Some(apart) => (apart.as_mut_slice(), Into::Set),
                None => (&mut **y, *into),
            };
            let y = MatMut::new(y, rows, weight.outputs());
            WeightProduct { weight, transposed: false, x, low_rank, y, into }
        });
    products(second.collect());
    let mut kept = downs.map(|down| down.into_iter().collect::<Vec<_>>());
    for ((layer, apart), kept) in layers.iter_mut().zip(apart).zip(&mut kept) {
        kept.extend(layer.finish(apart, workspace));
    }
    kept
}

impl Output<'_> {
    /// Room for the product by itself, where the adapter has to see it so and y holds something else.
    fn product_apart(&self, workspace: &mut Workspace) -> Option<Vec<f32>> {
        let apart = self.into == Into::Add && self.delta.is_some_and(Delta::finishes);
        apart.then(|| workspace.take(self.y.len()))
    }

    /// What comes after the products.
    fn finish<E: DeltaNumber>(&mut self, apart: Option<Vec<f32>>, workspace: &mut Workspace) -> Vec<Vec<E>> {
        let finishing = self.delta.filter(|delta| delta.finishes()).map(E::passes_of);
        let kept = match (finishing, apart) {
            (Some(delta), Some(mut apart)) => {
                let kept = delta.finish(&mut apart, workspace);
                self.y.iter_mut().zip(&apart).for_each(|(y, product)| *y += product);
                workspace.give(apart);
                kept
            }
            (Some(delta), None) => delta.finish(self.y, workspace),
            (None, _) => Vec::new(),
        };
        if let Some(bias) = &self.linear.bias {
            for y in self.y.chunks_exact_mut(bias.len()) {
                y.iter_mut().zip(bias.iter()).for_each(|(y, bias)| *y += bias);
            }
        }
        kept
    }
}

impl Linear {
    /// Adds the gradients of the adapter to `gradients`, and that of x to `dx`: given that of y, and what the forward pass
    /// saw and gave. There is none of the weight.
    pub(super) fn backward<E: DeltaNumber, D: Stored>(
        &self,
        (dx, into): (&mut [f32], Into),
        dy: &[D],
        site: Option<&SiteWeights>,
        seen: Seen<'_, E>,
        gradients: &mut [Vec<f32>],
        workspace: &mut Workspace,
    ) {
        let (inputs, outputs) = (self.weight.inputs(), self.weight.outputs());
        let rows = dy.len() / outputs;
        // Four products read it: it is rounded once for all of them.
        let rounded: Option<Vec<E>> =
            f32::of_slice(dy).filter(|_| E::of_slice(dy).is_none()).map(|dy| workspace.copy(dy));
        let dy: &[E] = rounded.as_deref().or(E::of_slice(dy)).unwrap_or_default();
        let dx = MatMut::new(dx, rows, inputs);
        match site {
            Some(SiteWeights { delta, gradients: own, .. }) => {
                let gradients = &mut gradients[own.clone()];
                E::passes_of(&**delta).backward(&self.weight, (dx, into), dy, seen, gradients, workspace);
            }
            None => self.weight.transposed_product(dx, into, Mat::new(dy, rows, outputs)),
        }
        rounded.into_iter().for_each(|rounded| workspace.give(rounded));
    }
}
