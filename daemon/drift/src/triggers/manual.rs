use super::{Due, Limits, Standing, Trigger};

/// Somebody asks for a cycle.
pub(super) struct Manual;

pub(super) const NAME: &str = "manual";

impl Trigger for Manual {
    fn name(&self) -> &'static str {
        NAME
    }

    fn due(&self, _limits: &Limits, standing: &Standing) -> Due {
        if standing.is_asked { Due::Now } else { Due::No }
    }
}
