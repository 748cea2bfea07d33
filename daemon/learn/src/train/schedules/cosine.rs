use super::Course;

pub(super) struct Cosine;

impl Course for Cosine {
    fn name(&self) -> &'static str {
        "cosine"
    }

    fn factor(&self, progress: f64) -> f64 {
        (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())).max(0.0)
    }
}
