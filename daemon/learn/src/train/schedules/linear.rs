use super::Course;

pub(super) struct Linear;

impl Course for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn factor(&self, progress: f64) -> f64 {
        (1.0 - progress).max(0.0)
    }
}
