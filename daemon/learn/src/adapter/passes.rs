//! Adapters as the passes of a decoder take them.

use candle_core::{Error, Result};

use super::{Adapter, LoraConfig, Projection};
use crate::model::{
    AdapterWeights, Decoder,
    composed::{self, AdapterTensors},
};

impl Adapter {
    /// For the passes of a decoder by hand, in its precision.
    ///
    /// # Errors
    /// Where a tensor cannot be read, or the decoder has no such layer.
    pub fn to_weights(&self, decoder: &Decoder) -> Result<AdapterWeights> {
        let mut weights = AdapterWeights::default();
        for (at, site) in self.sites() {
            add_weights(&mut weights, self.config(), at, site.values()?, decoder)?;
        }
        Ok(weights)
    }
}

/// Adds the adapter of one linear layer, given its tensors. The gradients of a backward pass come in the order in which they
/// are added.
///
/// # Errors
/// Where the decoder has no such layer.
pub(crate) fn add_weights(
    weights: &mut AdapterWeights,
    config: &LoraConfig,
    at: (usize, Projection),
    tensors: Vec<Vec<f32>>,
    decoder: &Decoder,
) -> Result<()> {
    let Some(weight) = decoder.weight(at.0, at.1) else { return Err(of_another_model(at)) };
    let count = tensors.len();
    weights.push(at, config.kind.delta().weights(config, weight, tensors, decoder.precision()), count);
    Ok(())
}

/// As [`add_weights`], on the device of a decoder.
///
/// # Errors
/// As there, or where the device has no room.
pub(crate) fn add_tensors(
    adapter: &mut AdapterTensors,
    config: &LoraConfig,
    at: (usize, Projection),
    tensors: &[&[f32]],
    decoder: &composed::Decoder,
) -> Result<()> {
    let Some(weight) = decoder.weight(at.0, at.1) else { return Err(of_another_model(at)) };
    adapter.push(at, config.kind.delta().composed(config, weight, tensors)?, tensors.len());
    Ok(())
}

fn of_another_model((layer, projection): (usize, Projection)) -> Error {
    Error::Msg(format!("an adapter of {} is for another model", projection.module_path(layer))).bt()
}
