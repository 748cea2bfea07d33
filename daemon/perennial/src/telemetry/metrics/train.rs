//! Training and rewards.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use prometheus::{CounterVec, Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, Result};

use super::{Registry, counters, register, zero};
use crate::{config::Objective, telemetry::told::Told};

/// The trainer.
pub(crate) struct TrainMetrics {
    pub(crate) loss: Gauge,
    pub(crate) tokens_per_second: Gauge,
    pub(crate) step: IntGauge,
    pub(crate) steps: IntGauge,
    pub(crate) tokens: IntCounter,
    pub(crate) told: IntCounterVec,
    pub(crate) nothing_learned: IntCounterVec,
    pub(crate) figure: GaugeVec,
    pub(crate) validation_loss: GaugeVec,
    pub(crate) interpolation_alpha: Gauge,
    pub(crate) orthogonal_cut_off: Gauge,
    pub(crate) consolidations: IntCounter,
    pub(crate) adapter_norm: GaugeVec,
    pub(crate) adapter_stable_rank: GaugeVec,
}

impl TrainMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let nothing_learned = counters(
            registry,
            "perennial_train_nothing_learned_total",
            "Training stages in which an objective learned nothing.",
            "objective",
        )?;
        zero(&nothing_learned, &Objective::all().map(Objective::as_str).collect::<Vec<_>>());
        let told = counters(
            registry,
            "perennial_train_samples_told_total",
            "Samples that something is to be told of how they were read for training, by what.",
            "what",
        )?;
        zero(&told, &Told::names().collect::<Vec<_>>());
        let validation = Opts::new(
            "perennial_train_validation_loss",
            "Loss on samples of the mix that are not trained on, at the last validation, by whose they are.",
        );
        let norm =
            Opts::new("perennial_train_adapter_norm", "Frobenius norm of what the last candidate adds to the weights.");
        let stable_rank = Opts::new(
            "perennial_train_adapter_stable_rank",
            "Mean stable rank of what the last candidate adds to the weights: near the rank, it is used up.",
        );
        let alpha =
            "How far the last candidate is from the champion: 1 is all the way to what was trained; 0: not known.";
        let cut_off = "What the rank could not hold of what the last candidate learned beside the champion, as a share of its squared norm.";
        let consolidations = IntCounter::new(
            "perennial_train_consolidations_total",
            "Candidates that were consolidated with the slow adapter, promoted or not.",
        )?;
        let figure = Opts::new("perennial_train_figure", "What an objective measured at its last step, by its name.");
        Ok(Self {
            loss: register(registry, Gauge::new("perennial_train_loss", "Training loss of the last step.")?)?,
            tokens_per_second: register(
                registry,
                Gauge::new("perennial_train_tokens_per_second", "Tokens trained on in a second, at the last step.")?,
            )?,
            step: register(registry, IntGauge::new("perennial_train_step", "The last step of the running training.")?)?,
            steps: register(registry, IntGauge::new("perennial_train_steps", "Steps of the running training.")?)?,
            tokens: register(registry, IntCounter::new("perennial_train_tokens_total", "Tokens trained on.")?)?,
            told,
            nothing_learned,
            figure: register(registry, GaugeVec::new(figure, &["objective", "figure"])?)?,
            validation_loss: register(registry, GaugeVec::new(validation, &["objective", "part"])?)?,
            adapter_norm: register(registry, GaugeVec::new(norm, &["module"])?)?,
            adapter_stable_rank: register(registry, GaugeVec::new(stable_rank, &["module"])?)?,
            orthogonal_cut_off: register(registry, Gauge::new("perennial_train_orthogonal_cut_off_ratio", cut_off)?)?,
            consolidations: register(registry, consolidations)?,
            interpolation_alpha: register(registry, Gauge::new("perennial_train_interpolation_alpha", alpha)?)?,
        })
    }
}

/// Learning from rewards, at the last step.
pub(crate) struct GrpoMetrics {
    pub(crate) reward_mean: Gauge,
    pub(crate) reward_stddev: Gauge,
    pub(crate) kl: Gauge,
    pub(crate) entropy: Gauge,
    pub(crate) clip_ratio: GaugeVec,
    pub(crate) completion_tokens: GaugeVec,
    pub(crate) truncated_ratio: Gauge,
    pub(crate) unscored_ratio: Gauge,
    pub(crate) zero_variance_ratio: Gauge,
}

impl GrpoMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let gauge = |name: &str, help: &str| register(registry, Gauge::new(name, help)?);
        let gauges =
            |name: &str, help: &str, label: &str| register(registry, GaugeVec::new(Opts::new(name, help), &[label])?);
        Ok(Self {
            reward_mean: gauge("perennial_grpo_reward", "Mean reward of the last step's completions.")?,
            reward_stddev: gauge("perennial_grpo_reward_stddev", "Standard deviation of these rewards.")?,
            kl: gauge("perennial_grpo_kl_nats", "Divergence from the reference, per token.")?,
            entropy: gauge("perennial_grpo_entropy_nats", "Entropy of the policy, per token.")?,
            clip_ratio: gauges("perennial_grpo_clip_ratio", "Share of tokens whose weight was clipped.", "bound")?,
            completion_tokens: gauges("perennial_grpo_completion_tokens", "Length of completions.", "stat")?,
            truncated_ratio: gauge("perennial_grpo_truncated_ratio", "Share of completions that were cut off.")?,
            unscored_ratio: gauge("perennial_grpo_unscored_ratio", "Share of completions that nothing scored.")?,
            zero_variance_ratio: gauge(
                "perennial_grpo_zero_variance_ratio",
                "Share of groups whose rewards were all equal.",
            )?,
        })
    }
}

/// The reward plugins.
pub(crate) struct RewardMetrics {
    pub(crate) outcomes: IntCounterVec,
    pub(crate) mean: GaugeVec,
    pub(crate) bound: GaugeVec,
    pub(crate) part_mean: GaugeVec,
    /// The parts that each plugin's `part_mean` has labels for.
    pub(crate) parts: Mutex<BTreeMap<String, BTreeSet<String>>>,
    pub(crate) fuel: IntCounterVec,
    pub(crate) seconds: CounterVec,
}

impl RewardMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let outcomes = opts("perennial_reward_outcomes_total", "Completions that a plugin judged, by what came of it.");
        let mean = opts("perennial_reward_mean", "Mean reward that a plugin gave last.");
        let bound = opts("perennial_reward_bound", "The least and the greatest reward that a plugin declares.");
        let part = opts("perennial_reward_part_mean", "Mean of a part of the reward that a plugin gave last.");
        let fuel = opts("perennial_reward_fuel_total", "Instructions that plugins took.");
        let seconds = opts("perennial_reward_seconds_total", "Time that calls of plugins took.");
        Ok(Self {
            outcomes: register(registry, IntCounterVec::new(outcomes, &["plugin", "outcome"])?)?,
            mean: register(registry, GaugeVec::new(mean, &["plugin"])?)?,
            bound: register(registry, GaugeVec::new(bound, &["plugin", "bound"])?)?,
            part_mean: register(registry, GaugeVec::new(part, &["plugin", "part"])?)?,
            parts: Mutex::default(),
            fuel: register(registry, IntCounterVec::new(fuel, &["plugin"])?)?,
            seconds: register(registry, CounterVec::new(seconds, &["plugin"])?)?,
        })
    }
}
