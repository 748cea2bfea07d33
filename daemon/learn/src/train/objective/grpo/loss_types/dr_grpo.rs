use super::{Loss, Step};

pub(super) struct DrGrpo;

impl Loss for DrGrpo {
    fn name(&self) -> &'static str {
        "dr_grpo"
    }

    fn divisor(&self, step: &Step, _tokens: usize) -> f64 {
        step.completions as f64 * step.max_completion_length as f64
    }
}
