//! Completions under way, token by token: what generation and rollouts have in common.

mod activation_store;
mod activations;
mod batch;
mod options;
mod rollout;
mod sampler;
mod sequence;
mod text_stream;

pub use activations::{ActivationMemory, RolloutActivations};
pub(crate) use batch::Batch;
pub use options::{EngineError, Finish, GenerateError, GenerateOptions};
pub use rollout::Rollout;
pub(crate) use sequence::Sequence;

/// Refuses prompts that nothing can go on from.
pub(crate) fn check_prompts(positions_max: usize, prompts: &[Vec<u32>]) -> Result<(), GenerateError> {
    for (index, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt { index });
        }
        if prompt.len() >= positions_max {
            return Err(GenerateError::TooLong { index, tokens: prompt.len(), tokens_max: positions_max - 1 });
        }
    }
    Ok(())
}
