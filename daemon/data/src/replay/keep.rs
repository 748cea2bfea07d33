use std::collections::BTreeSet;

use perennial_types::SampleId;

use super::{
    policies::Policy,
    pool::{Lots, Pool},
    row::ReplayRow,
};

/// The rows that stay in a buffer of this capacity. With one seed, a row that once had to leave never comes back in, however
/// the rows arrive and however often this is called (but for policies that balance domains, when a domain shrinks).
pub(super) fn keep<'a>(
    policy: &dyn Policy,
    rows: impl IntoIterator<Item = &'a ReplayRow>,
    capacity: usize,
    seed: u64,
) -> BTreeSet<SampleId> {
    let pool = Pool::new(rows, Lots { salt: b"perennial replay keep 1", seed });
    policy.keep_order(&pool).into_iter().take(capacity).map(|place| pool.rows()[place].id).collect()
}

/// The rows that have to leave a buffer of this capacity. Only those that may be replayed count and leave: one that waits for
/// its cycle is not drawn yet, and would otherwise take the place of those that are.
pub fn surplus(
    policy: &dyn Policy,
    rows: &[ReplayRow],
    replayable: &BTreeSet<SampleId>,
    capacity: usize,
    seed: u64,
) -> BTreeSet<SampleId> {
    let drawn_from = || rows.iter().filter(|row| replayable.contains(&row.id));
    if drawn_from().count() <= capacity {
        return BTreeSet::new();
    }
    let kept = keep(policy, drawn_from(), capacity, seed);
    drawn_from().map(|row| row.id).filter(|id| !kept.contains(id)).collect()
}
