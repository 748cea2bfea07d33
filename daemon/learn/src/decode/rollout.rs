use std::sync::Arc;

use super::{Finish, RolloutActivations};

/// One completion of a prompt, as it was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    /// The index of the prompt.
    pub prompt: usize,
    /// The index in the prompt's group.
    pub generation: usize,
    /// The tokens, with the one that ended it where there is one.
    pub tokens: Vec<u32>,
    /// Of each token, `log_softmax(logits / temperature)` over the whole vocabulary, before top-k, top-p and min-p: what a
    /// training pass with the same temperature computes.
    pub logprobs: Vec<f32>,
    /// The text, without special tokens and stop texts.
    pub text: String,
    /// Why it ends here; [`Finish::Length`] is a truncated one.
    pub finish: Finish,
    /// What training need not compute again, where the memory for them had room for it.
    /// [`rollouts`](crate::rollout::rollouts) alone gives it, when all have ended.
    pub activations: Option<Arc<RolloutActivations>>,
}
