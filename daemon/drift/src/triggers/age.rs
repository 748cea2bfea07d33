use super::{Due, Limits, Standing, Trigger};

/// The oldest new sample has waited long enough, and it is not too lonely.
pub(super) struct Age;

impl Trigger for Age {
    fn name(&self) -> &'static str {
        "age"
    }

    fn due(&self, limits: &Limits, standing: &Standing) -> Due {
        let Some(oldest_ms) = standing.oldest_ms.filter(|_| standing.waiting >= limits.age_samples_min) else {
            return Due::No;
        };
        let due_ms = oldest_ms.saturating_add_unsigned(limits.age_max_seconds.saturating_mul(1000));
        if due_ms <= standing.now_ms { Due::Now } else { Due::At(due_ms) }
    }
}
