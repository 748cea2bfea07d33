use super::{GrpoConfig, ImportanceSamplingLevel, loss_types::TokenLoss};

/// What is known of the tokens of one completion; all lists are equally long.
pub(super) struct Tokens<'a> {
    /// Under the policy, at the run's temperature.
    pub(super) logprobs: &'a [f32],
    /// Under the policy as it was before the generation's first step.
    pub(super) old: &'a [f32],
    /// Under the reference, where there is one.
    pub(super) reference: Option<&'a [f32]>,
    /// What corrects for the engine that sampled them.
    pub(super) weights: &'a [f64],
    /// Of the whole completion.
    pub(super) advantage: f64,
}

/// The losses of a completion's tokens, summed up.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SequenceLoss {
    pub(super) value: f64,
    /// The derivative of `value` by the log-probability of each token.
    pub(super) slopes: Vec<f64>,
    /// The divergence from the reference, summed up.
    pub(super) kl: f64,
    /// Tokens that lost their gradient (with CISPO: whose weight was cut) at the lower and at the upper bound.
    pub(super) clipped: [usize; 2],
}

/// The losses of the tokens of one completion before they are averaged (TRL, `GRPOTrainer._compute_loss`):
///
/// L · w + β · k3 · ρ, with L as the type of loss has it.
///
/// ρ is the importance weight p / p_old of the token, or its geometric mean over the completion; k3 = e^d − d − 1 with
/// d = log p_ref − log p (the factor ρ behind it is `use_bias_correction_kl`); w corrects for the engine that sampled.
pub(super) fn sequence_loss(tokens: &Tokens<'_>, config: &GrpoConfig) -> SequenceLoss {
    let log_ratios = tokens.logprobs.iter().zip(tokens.old).map(|(new, old)| f64::from(*new) - f64::from(*old));
    let count = tokens.logprobs.len();
    let log_weights: Vec<f64> = match config.importance_sampling_level {
        ImportanceSamplingLevel::Token => log_ratios.collect(),
        ImportanceSamplingLevel::Sequence => vec![log_ratios.sum::<f64>() / count.max(1) as f64; count],
    };
    let kind = config.loss_type.way();
    let bounds = kind.bounds(config.epsilon, config.epsilon_high.unwrap_or(config.epsilon));
    let mut result = SequenceLoss { slopes: Vec::with_capacity(count), ..SequenceLoss::default() };
    let mut through_weights = Vec::with_capacity(count);
    for (at, log_weight) in log_weights.into_iter().enumerate() {
        let (ratio, logprob) = (log_weight.exp(), f64::from(tokens.logprobs[at]));
        let TokenLoss { mut value, mut direct, mut through_weight } =
            kind.of_token(ratio, logprob, tokens.advantage, bounds);
        for part in [&mut value, &mut direct, &mut through_weight] {
            *part *= tokens.weights[at];
        }
        if let Some(reference) = tokens.reference {
            let kl = divergence(ratio, f64::from(reference[at]) - logprob, config);
            result.kl += kl.value;
            value += config.beta * kl.value;
            direct += config.beta * kl.direct;
            through_weight += config.beta * kl.through_weight;
        }
        result.value += value;
        result.slopes.push(direct);
        through_weights.push(through_weight);
        for (count, clipped) in result.clipped.iter_mut().zip(clipped(ratio, tokens.advantage, bounds)) {
            *count += usize::from(clipped);
        }
    }
    match config.importance_sampling_level {
        ImportanceSamplingLevel::Token => add(&mut result.slopes, through_weights),
        // The one weight hangs on every token alike.
        ImportanceSamplingLevel::Sequence => {
            let share = through_weights.iter().sum::<f64>() / count.max(1) as f64;
            add(&mut result.slopes, std::iter::repeat_n(share, count));
        }
    }
    result
}

fn add(slopes: &mut [f64], more: impl IntoIterator<Item = f64>) {
    slopes.iter_mut().zip(more).for_each(|(slope, more)| *slope += more);
}

/// k3 (<http://joschu.net/blog/kl-approx.html>), `difference` being log p_ref − log p.
fn divergence(ratio: f64, difference: f64, config: &GrpoConfig) -> TokenLoss {
    let (value, direct) = (difference.exp() - difference - 1.0, 1.0 - difference.exp());
    if !config.use_bias_correction_kl {
        return TokenLoss { value, direct, through_weight: 0.0 };
    }
    TokenLoss { value: value * ratio, direct: direct * ratio, through_weight: value * ratio }
}

/// Whether the lower and the upper bound change anything.
fn clipped(ratio: f64, advantage: f64, [lowest, highest]: [f64; 2]) -> [bool; 2] {
    [ratio < lowest && advantage < 0.0, ratio > highest && advantage > 0.0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::LossType, *};

    const LEVELS: [ImportanceSamplingLevel; 2] = [ImportanceSamplingLevel::Token, ImportanceSamplingLevel::Sequence];

    fn config(loss_type: LossType, importance_sampling_level: ImportanceSamplingLevel) -> GrpoConfig {
        let epsilon_high = Some(if loss_type == LossType::Cispo { 1.3 } else { 0.28 });
        GrpoConfig { loss_type, importance_sampling_level, epsilon_high, ..GrpoConfig::default() }
    }

    #[test]
    fn on_the_policy_the_slope_is_the_advantage() {
        let logprobs = [-1.0, -0.5, -3.0];
        for level in LEVELS {
            let tokens =
                Tokens { logprobs: &logprobs, old: &logprobs, reference: None, weights: &[1.0; 3], advantage: 2.0 };
            let loss = sequence_loss(&tokens, &config(LossType::Dapo, level));
            assert_eq!((loss.value, loss.slopes, loss.clipped), (-6.0, vec![-2.0; 3], [0, 0]));
        }
    }

    #[test]
    fn a_weight_beyond_its_bound_has_no_gradient_in_the_direction_that_leads_further() {
        let far = |new: f32, advantage| {
            let tokens = Tokens { logprobs: &[new], old: &[-1.0], reference: None, weights: &[1.0], advantage };
            let loss = sequence_loss(&tokens, &config(LossType::Dapo, ImportanceSamplingLevel::Token));
            (loss.slopes[0] == 0.0, loss.clipped)
        };
        assert_eq!(far(-0.5, 1.0), (true, [0, 1]));
        assert_eq!(far(-0.5, -1.0), (false, [0, 0]));
        assert_eq!(far(-1.5, -1.0), (true, [1, 0]));
        assert_eq!(far(-1.5, 1.0), (false, [0, 0]));
    }

    proptest! {
        /// Against central differences of the value itself, everywhere but at a bound, where there is no derivative.
        #[test]
        fn slopes_are_derivatives(
            rows in prop::collection::vec((-4.0_f32..-0.1, -0.4_f32..0.4, -0.5_f32..0.5, 0.1_f64..3.0), 1..6),
            advantage in -2.0_f64..2.0, correction: bool, beta in prop_oneof![Just(0.0), Just(0.1)],
        ) {
            let logprobs: Vec<f32> = rows.iter().map(|row| row.0).collect();
            let old: Vec<f32> = rows.iter().map(|row| row.0 - row.1).collect();
            let reference: Vec<f32> = rows.iter().map(|row| row.0 + row.2).collect();
            let weights: Vec<f64> = rows.iter().map(|row| row.3).collect();
            for (loss_type, level) in [LossType::Dapo, LossType::Cispo].into_iter().flat_map(|kind| LEVELS.map(|level| (kind, level))) {
                let config = GrpoConfig { beta, use_bias_correction_kl: correction, ..config(loss_type, level) };
                let at = |logprobs: &[f32]| {
                    let tokens = Tokens { logprobs, old: &old, reference: Some(&reference), weights: &weights, advantage };
                    sequence_loss(&tokens, &config)
                };
                let slopes = at(&logprobs).slopes;
                for (place, slope) in slopes.iter().enumerate() {
                    let moved = |by: f32| {
                        let mut moved = logprobs.clone();
                        moved[place] += by;
                        (at(&moved), f64::from(moved[place]))
                    };
                    let ((below, from), (above, to)) = (moved(-1e-3), moved(1e-3));
                    // CISPO's weight is a constant to the gradient, so its value has another slope: leave it to the goldens.
                    if below.clipped != above.clipped || loss_type == LossType::Cispo {
                        continue;
                    }
                    let expected = (above.value - below.value) / (to - from);
                    prop_assert!((slope - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{slope} {expected} at {place}");
                }
            }
        }
    }
}
