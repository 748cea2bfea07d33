use super::{Loss, Step};

pub(super) struct Grpo;

impl Loss for Grpo {
    fn name(&self) -> &'static str {
        "grpo"
    }

    fn divisor(&self, step: &Step, tokens: usize) -> f64 {
        step.completions as f64 * tokens.max(1) as f64
    }
}
