use std::cmp::Reverse;

use super::{Policy, by_key};
use crate::replay::Pool;

/// The latest arrivals: a sliding window, for streams whose past no longer holds (Babcock, Datar and Motwani, "Sampling from a
/// Moving Window over Streaming Data", 2002).
pub(super) struct Recent;

impl Policy for Recent {
    fn name(&self) -> &'static str {
        "recent"
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        by_key(pool, |place| Reverse(pool.rows()[place].arrived_ms))
    }

    fn keep_order(&self, pool: &Pool<'_>) -> Vec<usize> {
        self.order(pool)
    }
}
