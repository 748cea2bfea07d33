use super::{Due, Limits, Standing, Trigger};

/// Enough new samples wait.
pub(super) struct Samples;

impl Trigger for Samples {
    fn name(&self) -> &'static str {
        "samples"
    }

    fn due(&self, limits: &Limits, standing: &Standing) -> Due {
        if standing.waiting >= limits.samples_min { Due::Now } else { Due::No }
    }
}
