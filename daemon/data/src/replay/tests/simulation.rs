//! A long stream in which one domain sends nearly everything: do tiny domains survive, in the buffer and in the draws?

use std::collections::{BTreeMap, BTreeSet};

use perennial_types::{CycleId, SampleId};

use super::{
    super::{Draw, PolicyKind, ReplayRow, Signals, draw, surplus},
    id, of, row,
};

const TINY: [&str; 5] = ["t0", "t1", "t2", "t3", "t4"];
const TINY_ROWS: u32 = 20;
const CYCLES: u64 = 30;
const NEW_ROWS: u32 = 200;
const CAPACITY: usize = 600;

/// The rows of tiny domains that are left in the buffer, and how often each of them was replayed, by policy.
fn streamed(kind: PolicyKind) -> (usize, Vec<u32>) {
    let tiny = (0..).zip(TINY.iter().flat_map(|name| std::iter::repeat_n(*name, TINY_ROWS as usize)));
    let mut buffer: Vec<ReplayRow> = tiny.map(|(n, name)| row(n, name)).collect();
    let mut times: BTreeMap<SampleId, u32> = buffer.iter().map(|row| (row.id, 0)).collect();
    for cycle in 1..=CYCLES {
        let spec = Draw { cycle: CycleId(cycle), ..of(kind.as_str(), 50, cycle) };
        let drawn: BTreeSet<SampleId> = draw(&spec, &buffer, Signals::default()).into_iter().collect();
        for row in buffer.iter_mut().filter(|row| drawn.contains(&row.id)) {
            (row.times_replayed, row.last_replayed_cycle) = (row.times_replayed + 1, Some(CycleId(cycle)));
            times.entry(row.id).and_modify(|times| *times += 1);
        }
        let first = 1000 * cycle as u32;
        buffer.extend((first..first + NEW_ROWS).map(|n| row(n, "large")));
        let replayable = buffer.iter().map(|row| row.id).collect();
        let gone = surplus(kind.policy(), &buffer, &replayable, CAPACITY, 7);
        buffer.retain(|row| !gone.contains(&row.id));
    }
    let left = buffer.iter().filter(|row| times.contains_key(&row.id)).count();
    (left, (0..TINY_ROWS * TINY.len() as u32).map(|n| times[&id(n)]).collect())
}

#[test]
fn tiny_domains_survive_where_the_policy_balances() {
    let (left, times) = streamed(PolicyKind::named("balanced").unwrap());
    assert_eq!(left, times.len());
    // √500 for the large domain and √20 for each tiny one, of 50 rows: 25 of the tiny ones in each cycle, in turn.
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*least >= 5 && *most <= 10, "{least} {most}");
    for kind in PolicyKind::all().filter(|kind| !["reservoir", "recent"].contains(&kind.as_str())) {
        assert_eq!(streamed(kind).0, times.len(), "{kind:?}");
    }
    // What it is measured against: of all that came, one row in ten is left.
    assert!(streamed(PolicyKind::named("reservoir").unwrap()).0 < times.len() / 4);
    assert_eq!(streamed(PolicyKind::named("recent").unwrap()).0, 0);
}
