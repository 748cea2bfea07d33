use std::cmp::Reverse;

use perennial_types::CycleId;

use super::{Policy, by_key};
use crate::replay::Pool;

/// Expanding intervals: a row that was replayed r times is due 2^r cycles after the last time, those that are furthest beyond
/// their interval first. The scheme of Leitner's boxes ("So lernt man lernen", 1972), which Amiri, Miller and Savova ("Repeat
/// before Forgetting: Spaced Repetition for Efficient and Effective Training of Neural Networks", 2017) bring to training.
pub(super) struct Spaced;

/// An interval of more cycles than any daemon runs.
const DOUBLINGS_MAX: u32 = 40;

impl Policy for Spaced {
    fn name(&self) -> &'static str {
        "spaced"
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        by_key(pool, |place| {
            let row = pool.rows()[place];
            let CycleId(seen) = row.last_replayed_cycle.max(row.trained_cycle).unwrap_or(CycleId(0));
            let interval = 1_u128 << row.times_replayed.min(DOUBLINGS_MAX);
            // In millionths of the interval, since floats have no order.
            Reverse(u128::from(pool.cycle().0.saturating_sub(seen)) * 1_000_000 / interval)
        })
    }
}
