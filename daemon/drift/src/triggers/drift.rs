use super::{Due, Limits, Standing, Trigger};

/// What comes in has drifted from what the champion learned, and enough of it waits for a cycle to be worth its while.
pub(super) struct Drift;

impl Trigger for Drift {
    fn name(&self) -> &'static str {
        "drift"
    }

    fn due(&self, limits: &Limits, standing: &Standing) -> Due {
        if standing.is_drifted && standing.waiting >= limits.age_samples_min { Due::Now } else { Due::No }
    }
}
