use super::{Deviations, EPSILON, Scale};

pub(super) struct Batch;

impl Scale for Batch {
    fn name(&self) -> &'static str {
        "batch"
    }

    fn divisor(&self, deviations: Deviations) -> f64 {
        deviations.batch + EPSILON
    }
}
