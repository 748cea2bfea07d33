use super::{Loss, Step};

pub(super) struct Dapo;

impl Loss for Dapo {
    fn name(&self) -> &'static str {
        "dapo"
    }

    fn divisor(&self, step: &Step, _tokens: usize) -> f64 {
        step.share_of_generation()
    }
}
