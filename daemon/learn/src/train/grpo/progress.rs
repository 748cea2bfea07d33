use serde::{Deserialize, Serialize};

/// One optimiser step of a GRPO run: a line of its metrics. What concerns the generation is the same for all its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GrpoProgress {
    /// Steps that are through, this one included.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// The generation that the step learns from, from 1.
    pub generation: u64,
    /// Times that every prompt was drawn.
    pub epoch: f64,
    /// The loss before the step.
    pub loss: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// How the policy moves.
    #[serde(flatten)]
    pub policy: PolicyStats,
    /// What the generation brought.
    #[serde(flatten)]
    pub rollouts: RolloutStats,
    /// Tokens read in the step.
    pub tokens: u64,
    /// Completion tokens that the step learned from.
    pub supervised_tokens: u64,
    /// Wall time of the step, without the rollouts.
    pub seconds: f64,
    /// Wall time of the generation's rollouts and of the passes over them before its first step; 0 but in that step.
    pub rollout_seconds: f64,
}

/// Means over the completion tokens of a step that have an advantage (all of them where there is a reference); `None`
/// where there were none, or where it was not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyStats {
    /// The k3 estimate of the divergence from the reference, in nats per token.
    pub kl: Option<f64>,
    /// The entropy of the distribution that the token was drawn from, at the run's temperature, in nats.
    pub entropy: Option<f64>,
    /// The share of tokens that lost their gradient because they had become too unlikely, with a negative advantage.
    pub clip_ratio_low: Option<f64>,
    /// The share that lost it because they had become too likely, with a positive advantage (with CISPO: whose weight was
    /// cut).
    pub clip_ratio_high: Option<f64>,
    /// Both.
    pub clip_ratio_region: Option<f64>,
    /// |log p(training) − log p(rollout)|, p(training) as it was before the generation's first step.
    pub sampling_logp_difference_mean: Option<f64>,
    /// The greatest of these.
    pub sampling_logp_difference_max: Option<f64>,
    /// p(training) / p(rollout).
    pub sampling_ratio_mean: Option<f64>,
    /// The greatest of these.
    pub sampling_ratio_max: Option<f64>,
}

/// What a generation brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RolloutStats {
    /// Completions that are learned from.
    pub completions: u64,
    /// The mean of the rewards, of all completions that were scored, also of groups that were drawn again.
    pub reward_mean: Option<f64>,
    /// Their standard deviation.
    pub reward_std: Option<f64>,
    /// The share of completions that nothing scored.
    pub abstained_share: f64,
    /// The share of groups whose rewards were all equal, of all groups that were drawn.
    pub zero_variance_share: f64,
    /// Groups that were drawn, with those that took the place of others.
    pub groups_drawn: u64,
    /// Tokens of a completion, in the mean.
    pub completion_length_mean: f64,
    /// Of the shortest.
    pub completion_length_min: u64,
    /// Of the longest.
    pub completion_length_max: u64,
    /// The share of completions that were cut off at the limit.
    pub truncated_share: f64,
}
