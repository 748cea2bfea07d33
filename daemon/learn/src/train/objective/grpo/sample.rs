use std::sync::Arc;

use super::{Completion, GrpoConfig};
use crate::{
    adapter::Adapter,
    model::Model,
    rollout::RolloutActivations,
    tokenize::Encoded,
    train::{StopFlag, TrainDevice, TrainError, forward, passes::Passes},
};

/// A completion as a step learns from it.
#[derive(Clone, Debug, PartialEq)]
pub struct GrpoSample {
    /// Prompt and completion; the targets are the tokens of the completion.
    pub example: Encoded,
    /// How much better it is than the others of its group.
    pub advantage: f64,
    /// Whether it was cut off at the limit.
    pub truncated: bool,
    /// The log-probability of each token when it was drawn.
    pub rollout_logprobs: Vec<f32>,
    /// The same under the policy before the generation's first step; `None` where that is the policy of this step.
    pub old_logprobs: Option<Vec<f32>>,
    /// The same under the reference; `None` where none is needed.
    pub reference_logprobs: Option<Vec<f32>>,
    /// What was computed when it was drawn. Of use where the policy of this step is that which drew it: `old_logprobs` is `None`.
    pub activations: Option<Arc<RolloutActivations>>,
}

impl GrpoSample {
    /// A completion of a prompt, for the first step after its generation and without a reference.
    pub fn new(prompt: &[u32], completion: Completion, advantage: f64) -> Self {
        let mut supervised = vec![false; prompt.len()];
        supervised.resize(prompt.len() + completion.tokens.len(), true);
        let tokens = [prompt, &completion.tokens].concat();
        Self {
            example: Encoded { tokens, supervised },
            advantage,
            truncated: completion.truncated,
            rollout_logprobs: completion.logprobs,
            old_logprobs: None,
            reference_logprobs: None,
            activations: completion.activations,
        }
    }

    /// Whether the loss leaves it out, as if it had no tokens.
    pub(super) fn is_masked(&self, config: &GrpoConfig) -> bool {
        self.truncated && config.mask_truncated_completions
    }

    /// Whether its loss has a gradient, or something is measured on it.
    pub(super) fn is_learned_from(&self, config: &GrpoConfig) -> bool {
        !self.is_masked(config) && (self.advantage != 0.0 || config.needs_reference())
    }

    /// What need not be computed again for a step.
    pub(super) fn recalled(&self) -> Option<&RolloutActivations> {
        self.activations.as_deref().filter(|_| self.old_logprobs.is_none())
    }

    /// Tokens that count in the loss.
    pub(super) fn tokens(&self, config: &GrpoConfig) -> usize {
        if self.is_masked(config) { 0 } else { self.rollout_logprobs.len() }
    }
}

/// The log-probability of each completion's tokens under an adapter (`None`: the base model), the logits divided by
/// `temperature`, computed on a device.
///
/// # Errors
/// Where there is no such device, a token is outside of the model, or the adapter is another model's.
pub fn completion_logprobs(
    model: &Model,
    adapter: Option<&Adapter>,
    samples: &[GrpoSample],
    temperature: f64,
    tokens_per_micro_batch: usize,
    device: TrainDevice,
) -> Result<Vec<Vec<f32>>, TrainError> {
    let examples: Vec<&Encoded> = samples.iter().map(|sample| &sample.example).collect();
    let (never, mut passes) = (StopFlag::new(), Passes::on(device, model)?);
    let logprobs = forward::logprobs(&mut passes, adapter, &examples, temperature, tokens_per_micro_batch, &never)?;
    Ok(logprobs.unwrap_or_default())
}
