use perennial_types::{Body, Kind};
use serde::{Deserialize, Serialize};

use super::row_objective::{ObjectiveConfig, RowObjective, Sequence, StepSize, UnitLoss};
use crate::{
    model::Model,
    tokenize::{EncodeError, Encoded, Notes},
    train::{TrainConfig, TrainError, canonical::Canonical, shares::MeanOf},
};

/// Direct preference optimisation (arXiv 2305.18290), TRL's `DPOTrainer` with `loss_type` `sigmoid`: −log σ(β(r_c − r_r)), the mean
/// over the pairs of a step. r is the log-probability of an answer under the policy less that under the reference, summed
/// over its tokens; c is the chosen answer, r the rejected one.
pub(in crate::train) struct Dpo;

/// The keys, by the names of TRL's `DPOConfig`; the rate is for LoRA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::train) struct DpoConfig {
    /// The highest learning rate. Default 1e-5.
    learning_rate: f64,
    /// Times that every pair is seen. Default 1.
    epochs: f64,
    /// Stop after so many optimiser steps. The schedule ends there.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps_max: Option<u64>,
    /// Pairs per optimiser step. Default 8.
    batch_size: usize,
    /// How far the policy may leave the reference: more holds it closer. Default 0.1.
    beta: f64,
}

impl Default for DpoConfig {
    fn default() -> Self {
        Self { learning_rate: 1e-5, epochs: 1.0, steps_max: None, batch_size: 8, beta: 0.1 }
    }
}

impl ObjectiveConfig for DpoConfig {
    fn check(&self) -> Result<(), TrainError> {
        match self.beta.is_finite() && self.beta > 0.0 {
            true => Ok(()),
            false => Err(TrainError::Config { key: "beta", rule: "is a positive number" }),
        }
    }

    fn over(&self, train: &TrainConfig) -> TrainConfig {
        let Self { learning_rate, epochs, steps_max, batch_size, beta: _ } = *self;
        TrainConfig { learning_rate, epochs, steps_max, batch_size, ..train.clone() }
    }

    fn write(&self, canonical: &mut Canonical) {
        canonical.real("beta", self.beta);
    }
}

impl RowObjective for Dpo {
    const NAME: &'static str = "dpo";
    const KINDS: &'static [Kind] = &[Kind::Preference];
    const FIGURES: &'static [&'static str] = &[
        "rewards/chosen",
        "rewards/rejected",
        "rewards/accuracies",
        "rewards/margins",
        "logps/chosen",
        "logps/rejected",
    ];
    const COMPARES: bool = true;
    const MEAN_OF: MeanOf = MeanOf::Units;
    type Config = DpoConfig;

    fn encode(model: &Model, body: &Body, length_max: usize) -> Result<(Vec<Encoded>, Notes), EncodeError> {
        let (pair, notes) = model.encode_preference(body, length_max)?;
        Ok((pair.into(), notes))
    }

    fn loss(config: &DpoConfig, step: &StepSize, unit: &[Sequence<'_>], slopes: &mut Vec<f32>) -> UnitLoss {
        let (pairs, sum) =
            (step.units as f64, |values: &[f32]| values.iter().map(|value| f64::from(*value)).sum::<f64>());
        // The chosen answer comes first, and counts the other way round than the rejected one.
        let logps: Vec<f64> = unit.iter().map(|answer| sum(answer.logprobs)).collect();
        let rewards: Vec<f64> =
            unit.iter().zip(&logps).map(|(answer, logp)| config.beta * (logp - sum(answer.reference))).collect();
        let margin: f64 = rewards.iter().zip([1.0, -1.0]).map(|(reward, sign)| sign * reward).sum();
        let slope = config.beta * sigmoid(-margin) / pairs;
        for (answer, sign) in unit.iter().zip([-1.0, 1.0]) {
            slopes.resize(slopes.len() + answer.logprobs.len(), (sign * slope) as f32);
        }
        let accurate = if margin > 0.0 { 1.0 } else { 0.0 };
        let figures = rewards.into_iter().chain([accurate, margin]).chain(logps).collect();
        UnitLoss { value: -log_sigmoid(margin) / pairs, figures }
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// Without an overflow however small x is.
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loss(chosen: &[f32], rejected: &[f32], reference: &[f32], beta: f64) -> (UnitLoss, Vec<f32>) {
        let (config, mut slopes) = (DpoConfig { beta, ..DpoConfig::default() }, Vec::new());
        let unit = [chosen, rejected].map(|logprobs| Sequence { logprobs, reference: &reference[..logprobs.len()] });
        (Dpo::loss(&config, &StepSize { units: 2, targets: 9 }, &unit, &mut slopes), slopes)
    }

    #[test]
    fn a_policy_that_is_its_reference_has_no_reward_and_half_the_slope() {
        let (same, slopes) = loss(&[-1.0, -2.0], &[-1.0], &[-1.0, -2.0], 0.5);
        assert_eq!((same.value, slopes), (2.0_f64.ln() / 2.0, vec![-0.125, -0.125, 0.125]));
        assert_eq!(same.figures, [0.0, 0.0, 0.0, 0.0, -3.0, -1.0]);
    }

    #[test]
    fn pairs_that_are_far_apart_are_finite() {
        for (chosen, value, slope) in [(-1e6, 5e4, -0.05), (1e6, 0.0, 0.0)] {
            let (far, slopes) = loss(&[chosen], &[0.0], &[0.0], 0.1);
            assert_eq!((far.value, slopes[0]), (value, slope));
        }
    }

    proptest! {
        #[test]
        fn slopes_are_derivatives(
            chosen in prop::collection::vec(-4.0_f32..-0.1, 1..5), rejected in prop::collection::vec(-4.0_f32..-0.1, 1..5),
            reference in prop::collection::vec(-4.0_f32..-0.1, 5), beta in 0.05_f64..2.0,
        ) {
            let (_, slopes) = loss(&chosen, &rejected, &reference, beta);
            for place in 0..chosen.len() + rejected.len() {
                let moved = |by: f32| {
                    let (mut chosen, mut rejected) = (chosen.clone(), rejected.clone());
                    let at = chosen.len();
                    let value = if place < at { &mut chosen[place] } else { &mut rejected[place - at] };
                    *value += by;
                    let to = f64::from(*value);
                    (loss(&chosen, &rejected, &reference, beta).0.value, to)
                };
                let ((below, from), (above, to)) = (moved(-1e-2), moved(1e-2));
                let expected = (above - below) / (to - from);
                prop_assert!((f64::from(slopes[place]) - expected).abs() < 1e-3 * (1.0 + expected.abs()));
            }
        }
    }
}
