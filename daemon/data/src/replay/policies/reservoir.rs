use super::{Policy, by_key};
use crate::replay::Pool;

/// Every row has the same chance: the buffer mirrors everything that ever came.
///
/// Uniform sampling, as in Vitter, "Random Sampling with a Reservoir" (1985), but as a bottom-k sketch (Cohen and Kaplan,
/// "Summarizing Data using Bottom-k Sketches", 2007): the k rows with the smallest hashes are a uniform sample without
/// replacement of all rows seen, and, unlike with Vitter's algorithm R, the sample does not depend on the order of arrival,
/// needs no count of what was seen, and is the same when rows come twice.
pub(super) struct Reservoir;

impl Policy for Reservoir {
    fn name(&self) -> &'static str {
        "reservoir"
    }

    fn order(&self, pool: &Pool<'_>) -> Vec<usize> {
        by_key(pool, |_| ())
    }

    fn keep_order(&self, pool: &Pool<'_>) -> Vec<usize> {
        self.order(pool)
    }
}
