use std::sync::Arc;

use perennial_types::Fingerprint;

use super::EnvironmentError;
use crate::{
    adapter::Adapter,
    generate::Finish,
    rollout::{ActivationMemory, Rollout, RolloutActivations},
};

/// A prompt to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpoPrompt {
    /// Its tokens, up to where the answer begins.
    pub tokens: Vec<u32>,
}

/// An answer to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The tokens, with the one that ended it where there is one.
    pub tokens: Vec<u32>,
    /// The log-probability of each when it was drawn: log softmax(logits / temperature) over the whole vocabulary. NaN where
    /// the engine could not say.
    pub logprobs: Vec<f32>,
    /// Whether it was cut off at the limit instead of ending.
    pub truncated: bool,
    /// What the passes with the adapter under training that drew it have left behind, where they have.
    pub activations: Option<Arc<RolloutActivations>>,
}

impl From<&Rollout> for Completion {
    fn from(rollout: &Rollout) -> Self {
        let Rollout { tokens, logprobs, finish, activations, .. } = rollout;
        Self {
            tokens: tokens.clone(),
            logprobs: logprobs.clone(),
            truncated: *finish == Finish::Length,
            activations: activations.clone(),
        }
    }
}

/// The answers to one prompt, and what each is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredGroup {
    /// Its answers, `num_generations` of them.
    pub completions: Vec<Completion>,
    /// One per answer. `None` where nothing scored it: it then takes no part in the baseline and has the advantage 0.
    pub rewards: Vec<Option<f64>>,
}

/// What answers prompts with the adapter under training, and scores the answers.
pub trait Environment {
    /// Names all that the rewards depend on beside the completions, so that a run does not go on from a checkpoint under
    /// other rewards.
    fn fingerprint(&self) -> Fingerprint;

    /// Answers each of the prompts, given by their indices, [`num_generations`](super::GrpoConfig::num_generations) times,
    /// drawing from `seed`: one group per prompt, in order. The same prompt may stand there twice; its answers then differ.
    /// `None` where it was asked to stop before it was through. What has [`rollouts`](crate::rollout::rollouts) draw them passes
    /// the memory on, which spares training their forward pass.
    ///
    /// # Errors
    /// Whatever must end the run. What concerns one answer alone is no error but the reward `None`.
    fn rollouts(
        &mut self,
        adapter: &Adapter,
        prompts: &[usize],
        seed: u64,
        activation_memory: &ActivationMemory,
    ) -> Result<Option<Vec<ScoredGroup>>, EnvironmentError>;
}
