//! How the losses of tokens become the loss of a step: a file each, and a line in [`LossType`].

mod bnpo;
mod cispo;
mod dapo;
mod dr_grpo;
mod grpo;

use crate::train::choice::choice;

choice! {
    /// How the losses of tokens become the loss of a step, by TRL's names (`GRPOTrainer._compute_loss`).
    LossType: Loss {
        /// The mean over completions of the mean over tokens (arXiv 2402.03300). Prefers short completions where they are
        /// good, and long ones where they are not.
        Grpo(grpo::Grpo),
        /// The sum divided by the tokens of the step.
        Bnpo(bnpo::Bnpo),
        /// The sum divided by the tokens of the generation, shared out among its steps (arXiv 2503.14476).
        Dapo(dapo::Dapo),
        /// The sum divided by completions · `max_completion_length` (arXiv 2503.20783).
        DrGrpo(dr_grpo::DrGrpo),
        /// Divided as [`Dapo`](Self::Dapo), but the importance weight is what is clipped, from above at `epsilon_high`, and no
        /// token loses its gradient (arXiv 2506.13585).
        Cispo(cispo::Cispo),
    }
}

/// What a type of loss says of tokens, and of how they are averaged.
pub(in crate::train) trait Loss: Sync {
    /// Its name in configurations and fingerprints.
    fn name(&self) -> &'static str;

    /// What divides the losses of a completion of so many tokens.
    fn divisor(&self, step: &Step, tokens: usize) -> f64;

    /// The lower and the upper bound of importance weights. `epsilon_high` is `epsilon` where it is not set.
    fn bounds(&self, epsilon: f64, epsilon_high: f64) -> [f64; 2] {
        [1.0 - epsilon, 1.0 + epsilon_high]
    }

    /// The loss of a token with this importance weight and log-probability: −min(ρA, clip(ρ)A) (arXiv 1707.06347, eq. 7).
    fn of_token(&self, ratio: f64, _logprob: f64, advantage: f64, [lowest, highest]: [f64; 2]) -> TokenLoss {
        let (free, clipped) = (ratio * advantage, ratio.clamp(lowest, highest) * advantage);
        let through_weight = if free <= clipped { -free } else { 0.0 };
        TokenLoss { value: -free.min(clipped), direct: 0.0, through_weight }
    }

    /// The rule that is broken where `epsilon_high` is not set; none where it need not be.
    fn rule_of_epsilon_high(&self) -> Option<&'static str> {
        None
    }
}

/// The loss of one token.
pub(in crate::train) struct TokenLoss {
    pub(super) value: f64,
    /// Its derivative by the token's own log-probability, the importance weight held fast.
    pub(super) direct: f64,
    /// Its derivative by the logarithm of the importance weight.
    pub(super) through_weight: f64,
}

/// How much there is in a step and its generation.
pub(in crate::train) struct Step {
    /// Completions of the step, those that are left out included.
    pub(super) completions: usize,
    /// Their tokens, without those that are left out.
    pub(super) step_tokens: usize,
    /// The same of the whole generation.
    pub(super) generation_tokens: usize,
    /// As it is configured.
    pub(super) steps_per_generation: u64,
    /// As it is configured, in tokens.
    pub(super) max_completion_length: usize,
}

impl Step {
    /// The tokens of the generation, shared out among its steps.
    fn share_of_generation(&self) -> f64 {
        self.generation_tokens.max(1) as f64 / self.steps_per_generation as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_are_those_of_trl() {
        let step = Step {
            completions: 4,
            step_tokens: 30,
            generation_tokens: 70,
            steps_per_generation: 2,
            max_completion_length: 9,
        };
        let of = |loss_type: LossType| loss_type.way().divisor(&step, 5);
        assert_eq!(of(LossType::Grpo), 20.0);
        assert_eq!(of(LossType::Bnpo), 30.0);
        assert_eq!(of(LossType::Dapo), 35.0);
        assert_eq!(of(LossType::Cispo), 35.0);
        assert_eq!(of(LossType::DrGrpo), 36.0);
    }

    #[test]
    fn names_read_back_and_others_are_refused_with_all_of_them() {
        for loss_type in LossType::ALL {
            assert_eq!(serde_json::from_value::<LossType>(loss_type.as_str().into()).unwrap(), *loss_type);
            assert_eq!(serde_json::to_value(loss_type).unwrap(), loss_type.as_str());
        }
        let error = serde_json::from_str::<LossType>("\"dapo2\"").unwrap_err().to_string();
        assert!(
            error.contains("unknown variant `dapo2`, expected one of `grpo`, `bnpo`, `dapo`, `dr_grpo`, `cispo`"),
            "{error}"
        );
    }
}
