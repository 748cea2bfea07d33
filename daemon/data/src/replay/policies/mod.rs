//! The policies of the replay buffer: a file each, and a line in [`POLICIES`].

mod balanced;
mod diverse;
mod kind;
mod least_replayed;
mod loss;
mod recent;
mod reservoir;
mod similar;
mod spaced;

pub use kind::PolicyKind;

use super::pool::Pool;

/// All policies; the first is the default.
pub static POLICIES: &[&dyn Policy] = &[
    &balanced::Balanced,
    &reservoir::Reservoir,
    &recent::Recent,
    &least_replayed::LeastReplayed,
    &spaced::Spaced,
    &similar::Similar,
    &diverse::Diverse,
    &loss::Loss,
];

/// Says which rows are wanted most.
pub trait Policy: Sync {
    /// Its name in the configuration and in manifests.
    fn name(&self) -> &'static str;

    /// Whether [`order`](Self::order) asks [`Pool::space`], which costs reading the embeddings.
    fn reads_space(&self) -> bool {
        false
    }

    /// Whether [`order`](Self::order) asks [`Pool::loss_rise`], which costs two forward passes over a few times the rows that are
    /// drawn.
    fn reads_losses(&self) -> bool {
        false
    }

    /// The places of rows in the pool, the most wanted first, each at most [`Pool::repeats_max`] times. Depends on nothing but
    /// the pool, whose rows come in the order of their ids.
    fn order(&self, pool: &Pool<'_>) -> Vec<usize>;

    /// The places of rows, the one first that is to stay longest in a buffer that is full. By default every domain has the same
    /// share as far as it has rows, so that rare ones stay; within a domain lots decide, so that a row that had to leave does not
    /// come back in.
    fn keep_order(&self, pool: &Pool<'_>) -> Vec<usize> {
        balanced::equal_shares(pool)
    }
}

/// All places in the order of these keys; lots decide between equal ones. Once through, it begins again, as often as a row may
/// be drawn.
fn by_key<K: Ord>(pool: &Pool<'_>, key: impl Fn(usize) -> K) -> Vec<usize> {
    let mut places: Vec<usize> = (0..pool.rows().len()).collect();
    places.sort_by_cached_key(|place| (key(*place), pool.lot(*place)));
    repeated(pool, &places)
}

fn repeated(pool: &Pool<'_>, places: &[usize]) -> Vec<usize> {
    places.repeat(pool.repeats_max())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ_and_read_back() {
        let names: BTreeSet<&str> = POLICIES.iter().map(|policy| policy.name()).collect();
        assert_eq!(names.len(), POLICIES.len());
        for policy in POLICIES {
            let kind: PolicyKind = serde_json::from_value(policy.name().into()).unwrap();
            assert_eq!((kind.as_str(), serde_json::to_value(kind).unwrap()), (policy.name(), policy.name().into()));
        }
        let error = serde_json::from_value::<PolicyKind>("reservoire".into()).unwrap_err().to_string();
        assert!(error.starts_with("unknown policy `reservoire`, expected one of `balanced`, `reservoir`,"), "{error}");
    }
}
