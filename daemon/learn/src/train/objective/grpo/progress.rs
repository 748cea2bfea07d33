use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ScoredGroup,
    advantages::{deviation, mean},
};

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
    /// What penalties came to, by their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub penalties: BTreeMap<String, f64>,
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
    /// The share of tokens whose ratio was clipped on either side.
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
    /// Completions that are learned from because their rewards tell them from the others of their group.
    #[serde(default)]
    pub told_apart: u64,
}

impl RolloutStats {
    /// Of all groups that were drawn, each with its prompt: those whose rewards vary, and those whose do not. The
    /// completions that are learned from are not counted yet.
    pub(super) fn of(varied: &[(usize, ScoredGroup)], flat: &[(usize, ScoredGroup)]) -> Self {
        let groups = || varied.iter().chain(flat).map(|(_, group)| group);
        let rewards: Vec<f64> = groups().flat_map(|group| &group.rewards).flatten().copied().collect();
        let completions = || groups().flat_map(|group| &group.completions);
        let lengths: Vec<usize> = completions().map(|completion| completion.tokens.len()).collect();
        let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
        Self {
            completions: 0,
            reward_mean: (!rewards.is_empty()).then(|| mean(&rewards)),
            reward_std: (rewards.len() > 1).then(|| deviation(&rewards)),
            abstained_share: share(lengths.len() - rewards.len(), lengths.len()),
            zero_variance_share: share(flat.len(), groups().count()),
            groups_drawn: groups().count() as u64,
            completion_length_mean: share(lengths.iter().sum(), lengths.len()),
            completion_length_min: lengths.iter().min().copied().unwrap_or_default() as u64,
            completion_length_max: lengths.iter().max().copied().unwrap_or_default() as u64,
            truncated_share: share(completions().filter(|completion| completion.truncated).count(), lengths.len()),
            told_apart: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Completion, *};

    #[test]
    fn statistics_are_over_all_groups_that_were_drawn() {
        let group = |rewards: &[Option<f64>], lengths: &[usize]| {
            let completion = |length: &usize| Completion {
                tokens: vec![1; *length],
                logprobs: vec![-1.0; *length],
                truncated: *length == 8,
                activations: None,
            };
            (0, ScoredGroup { completions: lengths.iter().map(completion).collect(), rewards: rewards.to_vec() })
        };
        let varied = [group(&[Some(0.0), Some(3.0)], &[2, 8])];
        let flat = [group(&[Some(3.0), None], &[5, 1])];
        let got = RolloutStats::of(&varied, &flat);
        let expected = RolloutStats {
            completions: 0,
            reward_mean: Some(2.0),
            reward_std: Some(3.0_f64.sqrt()),
            abstained_share: 0.25,
            zero_variance_share: 0.5,
            groups_drawn: 2,
            completion_length_mean: 4.0,
            completion_length_min: 1,
            completion_length_max: 8,
            truncated_share: 0.25,
            told_apart: 0,
        };
        assert_eq!(got, expected);
    }
}
