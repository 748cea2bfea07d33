use candle_core::{Device, Result, Tensor, Var};

use crate::adapter::Projection;

/// An adapter on a device, in f32. Gradients come in the order in which its matrices were added.
#[derive(Default)]
pub(crate) struct LoraTensors {
    /// Per layer and projection.
    layers: Vec<[Option<Lora>; Projection::ALL.len()]>,
    matrices: usize,
}

/// The adapter of one linear layer.
pub(super) struct Lora {
    /// `[rank, in]`
    pub(super) a: Var,
    /// `[out, rank]`
    pub(super) b: Var,
    pub(super) scale: f32,
    /// The place of A's gradient among those of all matrices; B's is the next.
    pub(super) gradient: usize,
}

impl LoraTensors {
    /// Adds the adapter of one linear layer: A `[rank, in]` and B `[out, rank]`.
    ///
    /// # Errors
    /// Where the device has no room.
    pub(crate) fn push(
        &mut self,
        (layer, projection): (usize, Projection),
        [rank, inputs, outputs]: [usize; 3],
        (a, b): (&[f32], &[f32]),
        scale: f32,
        device: &Device,
    ) -> Result<()> {
        let var = |values, shape: (usize, usize)| Var::from_slice(values, shape, device);
        let lora = Lora { a: var(a, (rank, inputs))?, b: var(b, (outputs, rank))?, scale, gradient: self.matrices };
        self.matrices += 2;
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Default::default);
        }
        self.layers[layer][projection as usize] = Some(lora);
        Ok(())
    }

    pub(super) fn get(&self, layer: usize, projection: Projection) -> Option<&Lora> {
        self.layers.get(layer)?[projection as usize].as_ref()
    }

    /// The matrices of a layer, with the places of their gradients.
    pub(super) fn of_layer(&self, layer: usize) -> impl Iterator<Item = (usize, &Tensor)> {
        let loras = self.layers.get(layer).into_iter().flatten().flatten();
        loras.flat_map(|lora| [(lora.gradient, lora.a.as_tensor()), (lora.gradient + 1, lora.b.as_tensor())])
    }
}
