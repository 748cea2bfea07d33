use super::{Loss, Step};

pub(super) struct Bnpo;

impl Loss for Bnpo {
    fn name(&self) -> &'static str {
        "bnpo"
    }

    fn divisor(&self, step: &Step, _tokens: usize) -> f64 {
        step.step_tokens.max(1) as f64
    }
}
