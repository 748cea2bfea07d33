use super::{Policy, by_key};
use crate::replay::Pool;

/// The rows that were replayed least often, and of those the ones that were longest ago: sampling without replacement over
/// cycles. Independent draws of a share p leave (1−p)^t of the rows unseen after t cycles, e⁻¹ of them where p·t = 1; reshuffled
/// passes leave none (Recht and Ré, "Toward a noncommutative arithmetic-geometric mean inequality", 2012, for why that pays).
pub(super) struct LeastReplayed;

impl Policy for LeastReplayed {
    fn name(&self) -> &'static str {
        "least_replayed"
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        by_key(pool, |place| {
            let row = pool.rows()[place];
            (row.times_replayed, row.last_replayed_cycle)
        })
    }
}
