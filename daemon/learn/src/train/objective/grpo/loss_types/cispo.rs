use super::{Loss, Step, TokenLoss};

pub(super) struct Cispo;

impl Loss for Cispo {
    fn name(&self) -> &'static str {
        "cispo"
    }

    fn divisor(&self, step: &Step, _tokens: usize) -> f64 {
        step.share_of_generation()
    }

    /// `epsilon_high` is the greatest weight itself.
    fn bounds(&self, _epsilon: f64, epsilon_high: f64) -> [f64; 2] {
        [0.0, epsilon_high]
    }

    /// −sg(min(ρ, ε_high)) · A · log p: the weight is a constant to the gradient.
    fn of_token(&self, ratio: f64, logprob: f64, advantage: f64, [_, highest]: [f64; 2]) -> TokenLoss {
        let slope = -ratio.min(highest) * advantage;
        TokenLoss { value: slope * logprob, direct: slope, through_weight: 0.0 }
    }

    fn rule_of_epsilon_high(&self) -> Option<&'static str> {
        Some("must be set with loss_type \"cispo\"; 5.0 is usual")
    }
}
