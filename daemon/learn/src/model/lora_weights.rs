use half::bf16;
use perennial_kernels::{Precision, Weight};
use tracing::warn;

use super::linear::Lora;
use crate::adapter::{Adapter, Projection};

/// An adapter in the precision of a decoder, ready for its passes. Cloning is cheap.
#[derive(Clone, Default)]
pub struct LoraWeights {
    /// Per layer and projection.
    layers: Vec<[Option<Lora>; Projection::ALL.len()]>,
    matrices: usize,
}

impl LoraWeights {
    /// # Errors
    /// Where a tensor cannot be read.
    pub fn new(adapter: &Adapter, precision: Precision) -> candle_core::Result<Self> {
        let mut weights = Self::default();
        for (at, slot) in adapter.slots() {
            let ((rank, inputs), outputs) = (slot.a.dims2()?, slot.b.dim(0)?);
            let (a, b) = (slot.a.flatten_all()?.to_vec1()?, slot.b.flatten_all()?.to_vec1()?);
            weights.push(precision, at, [rank, inputs, outputs], (a, b), slot.scale);
        }
        Ok(weights)
    }

    /// Adds the adapter of one linear layer: A `[rank, in]` and B `[out, rank]`. The gradients of a backward pass come in the
    /// order in which adapters are added, A before B.
    pub(crate) fn push(
        &mut self,
        precision: Precision,
        (layer, projection): (usize, Projection),
        [rank, inputs, outputs]: [usize; 3],
        (a, mut b): (Vec<f32>, Vec<f32>),
        scale: f32,
    ) {
        b.iter_mut().for_each(|value| *value *= scale);
        let weight = |values: Vec<f32>, outputs, inputs| match precision {
            Precision::F32 => Weight::from_f32(values, outputs, inputs),
            Precision::Bf16 => {
                Weight::from_bf16(values.iter().map(|value| bf16::from_f32(*value)).collect(), outputs, inputs)
            }
        };
        let lora = Lora { a: weight(a, rank, inputs), b: weight(b, outputs, rank), scale, gradient: self.matrices };
        self.matrices += 2;
        if self.layers.len() <= layer {
            self.layers.resize_with(layer + 1, Default::default);
        }
        self.layers[layer][projection as usize] = Some(lora);
    }

    /// With its matrices packed, as [`Decoder::for_few_rows`](super::Decoder::for_few_rows) has those of the model.
    pub fn for_few_rows(mut self) -> Self {
        let slots = self.layers.iter_mut().flatten().flatten();
        if let Err(error) = Weight::prepack(slots.flat_map(|lora| [&mut lora.a, &mut lora.b]).collect()) {
            warn!(%error, "no memory for a packed adapter: rollouts are slower without it");
        }
        self
    }

    pub(super) fn get(&self, layer: usize, projection: Projection) -> Option<&Lora> {
        self.layers.get(layer)?[projection as usize].as_ref()
    }
}
