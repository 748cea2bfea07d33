use std::collections::{BTreeMap, BTreeSet};

use perennial_types::SampleId;
use proptest::{collection::vec, prelude::*};

use super::{
    super::{PolicyKind, ReplayRow, keep::keep, surplus},
    chi_square, id, policy, row, rows,
};

#[test]
fn reservoir_keeps_every_row_with_the_same_chance() {
    let rows = rows(&[("a", 150), ("b", 50)]);
    let mut counts = BTreeMap::new();
    for seed in 0..600 {
        let kept = keep(policy("reservoir").policy(), &rows, 40, seed);
        kept.into_iter().for_each(|id| *counts.entry(id).or_insert(0) += 1);
    }
    // Four standard deviations of chi-square with 199 degrees of freedom, to both sides: too even is as wrong.
    let statistic = chi_square(&counts, 200, 40, 600);
    assert!((statistic - 199.0).abs() < 4.0 * 398_f64.sqrt(), "{statistic}");
}

#[test]
fn domains_have_the_same_share_of_a_full_buffer_as_far_as_they_have_rows() {
    let rows = rows(&[("large", 500), ("middle", 100), ("small", 7)]);
    for kind in PolicyKind::all().filter(|kind| !["reservoir", "recent"].contains(&kind.as_str())) {
        let kept = keep(kind.policy(), &rows, 300, 3);
        let of = |name: &str| rows.iter().filter(|row| row.domain.as_str() == name && kept.contains(&row.id)).count();
        assert_eq!(["large", "middle", "small"].map(of), [193, 100, 7], "{kind:?}");
    }
}

#[test]
fn recent_keeps_the_newest() {
    assert_eq!(keep(policy("recent").policy(), &rows(&[("a", 10)]), 2, 0), BTreeSet::from([id(8), id(9)]));
}

#[test]
fn what_waits_neither_leaves_nor_takes_a_place() {
    // The newest wait, and are as many as the buffer has room for.
    let rows = rows(&[("a", 30)]);
    let replayable: BTreeSet<SampleId> = (0..20).map(id).collect();
    for kind in PolicyKind::all() {
        let gone = surplus(kind.policy(), &rows, &replayable, 10, 1);
        assert_eq!(gone.len(), 10, "{kind:?}");
        assert!(gone.is_subset(&replayable), "{kind:?}");
        assert_eq!(surplus(kind.policy(), &rows, &replayable, 20, 1), BTreeSet::new(), "{kind:?}");
    }
    assert_eq!(surplus(policy("recent").policy(), &rows, &replayable, 10, 1), (0..10).map(id).collect());
}

proptest! {
    #[test]
    fn what_is_kept_does_not_depend_on_order(
        domains in vec(0_u32..3, 0..60), n in 0_usize..80, seed: u64, shift in 0_usize..60, again in 0_usize..60,
    ) {
        let rows: Vec<ReplayRow> =
            (0..).zip(&domains).map(|(n, domain)| row(n, ["a", "b", "c"][*domain as usize])).collect();
        let mut shuffled = rows.clone();
        shuffled.rotate_left(shift.min(rows.len()));
        shuffled.extend(rows.iter().take(again).cloned());
        for kind in PolicyKind::all() {
            let kept = keep(kind.policy(), &rows, n, seed);
            prop_assert_eq!(kept.len(), n.min(rows.len()));
            prop_assert_eq!(keep(kind.policy(), &shuffled, n, seed), kept);
        }
    }

    #[test]
    fn keeping_batch_by_batch_ends_as_keeping_at_once(count in 1_u32..120, batch in 1_usize..40, capacity in 1_usize..50, seed: u64) {
        let rows = rows(&[("a", count)]);
        for kind in PolicyKind::all() {
            let mut buffer: Vec<ReplayRow> = Vec::new();
            for arrived in rows.chunks(batch) {
                buffer.extend_from_slice(arrived);
                let kept = keep(kind.policy(), &buffer, capacity, seed);
                buffer.retain(|row| kept.contains(&row.id));
            }
            let kept: BTreeSet<SampleId> = buffer.iter().map(|row| row.id).collect();
            prop_assert_eq!(kept, keep(kind.policy(), &rows, capacity, seed));
        }
    }
}
