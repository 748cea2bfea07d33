//! Steps of training.

use std::collections::BTreeMap;

use perennial_learn::{
    adapter::Spectrum,
    train::{PENALTY_FIGURES, Progress, Validation, grpo::GrpoProgress},
};
use prometheus::Gauge;
use tracing::{debug, info, warn};

use super::whole;
use crate::{
    config::Objective,
    telemetry::{Event, Telemetry, Told},
};

/// A step of an objective that learns from rows was taken.
pub(crate) struct RowStep<'a> {
    pub(crate) objective: Objective,
    /// What it says of the step.
    pub(crate) progress: &'a Progress,
}

impl Event for RowStep<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { objective, progress } = self;
        telemetry.emit(TrainStep {
            step: progress.step,
            steps: progress.steps,
            loss: progress.loss,
            learning_rate: progress.learning_rate,
            tokens: progress.tokens,
            tokens_per_second: progress.tokens_per_second,
        });
        // The names are the objective's own list, and that of penalties.
        for figure in objective.kind().figures().iter().chain(&PENALTY_FIGURES) {
            let Some(value) = progress.figures.get(*figure) else { continue };
            telemetry.metrics().train.figure.with_label_values(&[objective.as_str(), figure]).set(*value);
        }
    }
}

/// The loss on what is not trained on was computed.
pub(crate) struct ValidationStep<'a> {
    pub(crate) objective: Objective,
    /// What it says.
    pub(crate) validation: &'a Validation,
}

impl Event for ValidationStep<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let objective = self.objective.as_str();
        let Validation { step, eval_loss, eval_loss_balanced, eval_loss_by_origin, .. } = self.validation;
        let gauge = &telemetry.metrics().train.validation_loss;
        gauge.with_label_values(&[objective, "all"]).set(*eval_loss);
        gauge.with_label_values(&[objective, "balanced"]).set(*eval_loss_balanced);
        for (origin, loss) in eval_loss_by_origin {
            gauge.with_label_values(&[objective, origin]).set(*loss);
        }
        info!(step, objective, eval_loss, eval_loss_balanced, "validated");
    }
}

/// It was chosen how far to go from the champion to what was trained.
pub(crate) struct Interpolated<'a> {
    /// The share of the way that was gone.
    pub(crate) alpha: f64,
    /// The share of the change's squared norm that the rank could hold.
    pub(crate) kept: f64,
    /// The validation loss of the champion.
    pub(crate) champion_loss: f64,
    /// Each share that was tried, with its loss.
    pub(crate) tried: &'a [(f64, f64)],
}

impl Event for Interpolated<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { alpha, kept, champion_loss, tried } = self;
        telemetry.metrics().train.interpolation_alpha.set(alpha);
        info!(alpha, kept, champion_loss, ?tried, "went so far from the champion");
    }
}

/// What was learned beside the frozen champion was brought back into one rank with it.
pub(crate) struct BroughtBack {
    /// The share of the squared norm of their change that the rank holds.
    pub(crate) kept: f64,
    /// What was cut off, as a share of the squared norm of what is new.
    pub(crate) cut_off_of_new: f64,
}

impl Event for BroughtBack {
    fn emit(self, telemetry: &Telemetry) {
        let Self { kept, cut_off_of_new } = self;
        telemetry.metrics().train.orthogonal_cut_off.set(cut_off_of_new);
        info!(kept, cut_off_of_new, "brought what was learned beside the champion back into one rank");
    }
}

/// A candidate was consolidated with the slow adapter.
pub(crate) struct Consolidated {
    /// The share of the way from the slow adapter to what was trained.
    pub(crate) alpha: f64,
    /// The share of the change's squared norm that the rank could hold.
    pub(crate) kept: f64,
}

impl Event for Consolidated {
    fn emit(self, telemetry: &Telemetry) {
        let Self { alpha, kept } = self;
        telemetry.metrics().train.consolidations.inc();
        info!(alpha, kept, "consolidated with the slow adapter");
    }
}

/// The candidate's change of the base model was measured, by the kind of layer.
pub(crate) struct AdapterSpectrum<'a>(pub(crate) &'a BTreeMap<&'static str, Spectrum>);

impl Event for AdapterSpectrum<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let metrics = &telemetry.metrics().train;
        for (module, Spectrum { norm, stable_rank }) in self.0 {
            metrics.adapter_norm.with_label_values(&[module]).set(*norm);
            metrics.adapter_stable_rank.with_label_values(&[module]).set(*stable_rank);
        }
        debug!(spectrum = ?self.0, "measured the adapter");
    }
}

/// A training step was taken.
pub(crate) struct TrainStep {
    /// Steps taken, counted from 1.
    pub(crate) step: u64,
    /// Of the whole run.
    pub(crate) steps: u64,
    /// The step's mean loss over supervised tokens.
    pub(crate) loss: f64,
    /// The learning rate it was taken with.
    pub(crate) learning_rate: f64,
    /// Tokens in the step's batch.
    pub(crate) tokens: u64,
    pub(crate) tokens_per_second: f64,
}

impl Event for TrainStep {
    fn emit(self, telemetry: &Telemetry) {
        let Self { step, steps, loss, learning_rate, tokens, tokens_per_second } = self;
        let metrics = &telemetry.metrics().train;
        metrics.loss.set(loss);
        metrics.tokens_per_second.set(tokens_per_second);
        metrics.step.set(whole(step));
        metrics.steps.set(whole(steps));
        metrics.tokens.inc_by(tokens);
        telemetry.board().update(|activity| {
            activity.step = Some((step, steps));
            activity.loss = Some(loss);
            activity.tokens_per_second = Some(tokens_per_second);
        });
        // A bar shows every step already; without one the log does.
        if telemetry.progress().step(step, steps, loss, tokens_per_second) {
            debug!(step, steps, loss, learning_rate, tokens_per_second, "step");
        } else {
            info!(step, steps, loss, learning_rate, tokens_per_second, "step");
        }
    }
}

/// What is to be told of how samples were read for training.
pub(crate) struct SamplesTold<'a>(pub(crate) &'a Told);

impl Event for SamplesTold<'_> {
    fn emit(self, telemetry: &Telemetry) {
        for (what, samples, meaning) in self.0.iter() {
            telemetry.metrics().train.told.with_label_values(&[what]).inc_by(samples);
            warn!(what, samples, "{meaning}");
        }
    }
}

/// A step of learning from rewards was taken.
pub(crate) struct GrpoStep<'a>(pub(crate) &'a GrpoProgress);

impl Event for GrpoStep<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let GrpoProgress { step, steps, loss, learning_rate, tokens, policy, rollouts, .. } = self.0;
        let seconds = self.0.seconds + self.0.rollout_seconds;
        let tokens_per_second = if seconds > 0.0 { *tokens as f64 / seconds } else { 0.0 };
        telemetry.emit(TrainStep {
            step: *step,
            steps: *steps,
            loss: *loss,
            learning_rate: *learning_rate,
            tokens: *tokens,
            tokens_per_second,
        });
        let metrics = &telemetry.metrics().grpo;
        let set = |gauge: &Gauge, value: Option<f64>| value.into_iter().for_each(|value| gauge.set(value));
        set(&metrics.reward_mean, rollouts.reward_mean);
        set(&metrics.reward_stddev, rollouts.reward_std);
        set(&metrics.kl, policy.kl);
        set(&metrics.entropy, policy.entropy);
        for (bound, ratio) in [("low", policy.clip_ratio_low), ("high", policy.clip_ratio_high)] {
            set(&metrics.clip_ratio.with_label_values(&[bound]), ratio);
        }
        for (stat, length) in [
            ("mean", rollouts.completion_length_mean),
            ("min", rollouts.completion_length_min as f64),
            ("max", rollouts.completion_length_max as f64),
        ] {
            metrics.completion_tokens.with_label_values(&[stat]).set(length);
        }
        metrics.truncated_ratio.set(rollouts.truncated_share);
        metrics.unscored_ratio.set(rollouts.abstained_share);
        metrics.zero_variance_ratio.set(rollouts.zero_variance_share);
        let (reward, kl) = (rollouts.reward_mean, policy.kl);
        info!(step, steps, reward, kl, length = rollouts.completion_length_mean, "learned from rewards");
    }
}
