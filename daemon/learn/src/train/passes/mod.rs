//! What computes the passes of training: the passes by hand on the CPU, or a composition of candle's operations on any
//! device. Either does all from tokens to gradients, the head included, so that only numbers per target, the hidden states of
//! targets that a teacher is asked for, and the adapter's gradients cross from a device.

mod composed;
mod kernels;

use composed::Composed;
use kernels::Kernels;

use super::{TrainConfig, TrainDevice, TrainError, micro_batch::MicroBatch, parameters::Parameters};
use crate::model::Model;

/// The passes of a base model.
pub(super) enum Passes<'a> {
    Kernels(Kernels<'a>),
    Composed(Composed),
}

/// The passes of a base model with an adapter.
pub(super) trait Policy {
    /// The log-probability of each target, the logits divided by `temperature`.
    fn logprobs(&mut self, micro_batch: &MicroBatch<'_>, temperature: f64) -> candle_core::Result<Vec<f32>>;

    /// What the head is given to predict each target, `[targets, hidden]`.
    fn hidden(&mut self, micro_batch: &MicroBatch<'_>) -> candle_core::Result<Vec<f32>>;

    /// Forward, the objective, and back: adds the gradients of the adapter's tensors to `gradients`, in their order. With `held`, the
    /// weighted divergences from it are a part of what is derived; they are returned for each target as they are, unweighted.
    fn learn(
        &mut self,
        micro_batch: &MicroBatch<'_>,
        temperature: f64,
        held: Option<&Held>,
        slopes: &mut Slopes<'_>,
        gradients: &mut [Vec<f32>],
    ) -> Result<Vec<f32>, TrainError>;
}

/// What the targets of a micro-batch are held to.
pub(super) struct Held {
    /// What a frozen policy gives the head to predict each target, `[targets, hidden]`; zeros where the weight is 0.
    pub(super) hidden: Vec<f32>,
    /// What the divergence KL(frozen ‖ policy) at each target counts.
    pub(super) weights: Vec<f32>,
}

/// The derivative of a loss by the log-probability of each target, given these and the entropies of their distributions.
pub(super) type Slopes<'a> = dyn FnMut(&[f32], &[f32]) -> Result<Vec<f32>, TrainError> + 'a;

impl<'a> Passes<'a> {
    /// As the configuration asks for.
    pub(super) fn new(model: &'a Model, config: &TrainConfig) -> Result<Self, TrainError> {
        Ok(match config.device.composed()? {
            None => Self::Kernels(Kernels::new(model, config.memory_bytes_max)),
            Some(device) => Self::Composed(Composed::new(model, &device)?),
        })
    }

    /// On a device, with no bound on memory.
    pub(super) fn on(device: TrainDevice, model: &'a Model) -> Result<Self, TrainError> {
        Self::new(model, &TrainConfig { device, ..TrainConfig::default() })
    }

    /// Whether they can go back through what rollouts have left behind.
    pub(super) fn recall(&self) -> bool {
        matches!(self, Self::Kernels(_))
    }

    /// Those of the model with an adapter, or of the model alone.
    pub(super) fn policy<'p>(&'p mut self, adapter: Option<&Parameters>) -> candle_core::Result<Box<dyn Policy + 'p>> {
        Ok(match self {
            Self::Kernels(kernels) => Box::new(kernels.policy(adapter)?),
            Self::Composed(composed) => Box::new(composed.policy(adapter)?),
        })
    }
}
