use super::{Deviations, Scale};

pub(super) struct None;

impl Scale for None {
    fn name(&self) -> &'static str {
        "none"
    }

    fn divisor(&self, _deviations: Deviations) -> f64 {
        1.0
    }
}
