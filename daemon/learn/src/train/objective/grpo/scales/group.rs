use super::{Deviations, EPSILON, Scale};

pub(super) struct Group;

impl Scale for Group {
    fn name(&self) -> &'static str {
        "group"
    }

    fn divisor(&self, deviations: Deviations) -> f64 {
        deviations.group + EPSILON
    }
}
