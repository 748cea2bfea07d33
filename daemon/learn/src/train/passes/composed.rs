use candle_core::{Device, Tensor};

use super::{
    super::{TrainError, micro_batch::MicroBatch, parameters::Parameters},
    Held, Policy, Slopes,
};
use crate::model::{
    Model, Packing,
    composed::{AdapterTensors, Decoder, Gather},
};

/// The passes by candle's operations.
pub(in crate::train) struct Composed {
    decoder: Decoder,
}

pub(super) struct ComposedPolicy<'p> {
    decoder: &'p Decoder,
    adapter: AdapterTensors,
}

impl Composed {
    pub(super) fn new(model: &Model, device: &Device) -> candle_core::Result<Self> {
        Ok(Self { decoder: Decoder::new(model, device)? })
    }

    pub(super) fn policy<'p>(&'p self, adapter: Option<&Parameters>) -> candle_core::Result<ComposedPolicy<'p>> {
        let decoder = &self.decoder;
        let adapter = adapter.map(|adapter| adapter.to_tensors(decoder)).transpose()?.unwrap_or_default();
        Ok(ComposedPolicy { decoder, adapter })
    }
}

impl ComposedPolicy<'_> {
    /// Which rows predict the targets.
    fn predicting(&self, micro_batch: &MicroBatch<'_>) -> candle_core::Result<Gather> {
        let rows: Vec<Option<u32>> = micro_batch.predicting.iter().copied().map(Some).collect();
        Gather::new(&rows, micro_batch.branches.rows().len(), self.decoder.device())
    }
}

impl Policy for ComposedPolicy<'_> {
    fn logprobs(&mut self, micro_batch: &MicroBatch<'_>, temperature: f64) -> candle_core::Result<Vec<f32>> {
        if micro_batch.targets.is_empty() {
            return Ok(Vec::new());
        }
        let (rows, packing) = (micro_batch.branches.rows(), Packing::Branches(&micro_batch.branches));
        let hidden = self.decoder.hidden(rows, packing, Some(&self.adapter))?;
        let hidden = (self.predicting(micro_batch)?.forth(&hidden)? / temperature)?;
        self.decoder.token_logprobs(&hidden, &micro_batch.targets)
    }

    fn hidden(&mut self, micro_batch: &MicroBatch<'_>) -> candle_core::Result<Vec<f32>> {
        if micro_batch.targets.is_empty() {
            return Ok(Vec::new());
        }
        let (rows, packing) = (micro_batch.branches.rows(), Packing::Branches(&micro_batch.branches));
        let hidden = self.decoder.hidden(rows, packing, Some(&self.adapter))?;
        self.predicting(micro_batch)?.forth(&hidden)?.flatten_all()?.to_vec1()
    }

    fn learn(
        &mut self,
        micro_batch: &MicroBatch<'_>,
        temperature: f64,
        held: Option<&Held>,
        slopes: &mut Slopes<'_>,
        gradients: &mut [Vec<f32>],
    ) -> Result<Vec<f32>, TrainError> {
        if micro_batch.targets.is_empty() {
            slopes(&[], &[])?;
            return Ok(Vec::new());
        }
        let (rows, packing) = (micro_batch.branches.rows(), Packing::Branches(&micro_batch.branches));
        let (hidden, tape) = self.decoder.forward(rows, packing, &self.adapter)?;
        let predicting = self.predicting(micro_batch)?;
        // The logits are linear in these.
        let hidden = (predicting.forth(&hidden)? / temperature)?;
        let targets = self.decoder.targets(&hidden, &micro_batch.targets)?;
        let slopes = slopes(&targets.logprobs, &targets.entropies)?;
        let column = |values: &[f32]| Tensor::from_slice(values, (values.len(), 1), self.decoder.device());
        let mut d_logits = targets.d_logprobs.broadcast_mul(&column(&slopes)?)?;
        let mut divergences = Vec::new();
        if let Some(held) = held {
            let reference = (Tensor::from_slice(&held.hidden, hidden.dims(), self.decoder.device())? / temperature)?;
            let found = self.decoder.divergences(&hidden, &reference)?;
            d_logits = (d_logits + found.slopes.broadcast_mul(&column(&held.weights)?)?)?;
            divergences = found.divergences;
        }
        tape.backward(&predicting.back(&(d_logits / temperature)?)?, gradients)?;
        Ok(divergences)
    }
}
