use std::collections::{BTreeMap, BTreeSet};

use perennial_types::SampleId;
use proptest::{collection::vec, prelude::*};

use super::{
    super::{PolicyKind, ReplayRow, draw, keep},
    id, row,
};

const KINDS: [PolicyKind; 3] = [PolicyKind::Reservoir, PolicyKind::Balanced, PolicyKind::Recent];

fn rows(domains: &[(&str, u32)]) -> Vec<ReplayRow> {
    let names = domains.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count as usize));
    (0..).zip(names).map(|(n, name)| row(n, name)).collect()
}

/// Pearson's statistic of how often each of `total` rows was among the `chosen` ones of each of `seeds` independent
/// samples without replacement, scaled so that it follows chi-square with `total` − 1 degrees of freedom.
fn chi_square(counts: &BTreeMap<SampleId, u32>, total: u32, chosen: u32, seeds: u32) -> f64 {
    let share = f64::from(chosen) / f64::from(total);
    let (mean, variance) = (f64::from(seeds) * share, f64::from(seeds) * share * (1.0 - share));
    let squares = (0..total).map(|n| (f64::from(counts.get(&id(n)).copied().unwrap_or(0)) - mean).powi(2));
    squares.sum::<f64>() / variance * f64::from(total - 1) / f64::from(total)
}

#[test]
fn reservoir_gives_every_row_the_same_chance() {
    const TOTAL: u32 = 200;
    const SEEDS: u32 = 600;
    let rows = rows(&[("a", 150), ("b", 50)]);
    let policy = PolicyKind::Reservoir.policy();
    let counted = |choose: &dyn Fn(u64) -> Vec<SampleId>| {
        let mut counts = BTreeMap::new();
        (0..u64::from(SEEDS)).flat_map(choose).for_each(|id| *counts.entry(id).or_insert(0) += 1);
        counts
    };
    let kept = counted(&|seed| keep(policy, &rows, 40, seed).into_iter().collect());
    let drawn = counted(&|seed| draw(policy, &rows, 40, seed));
    // What is drawn from what is kept by the same seed must be as uniform: the two lots are independent.
    let drawn_of_kept = counted(&|seed| {
        let kept = keep(policy, &rows, 80, seed);
        let kept: Vec<ReplayRow> = rows.iter().filter(|row| kept.contains(&row.id)).cloned().collect();
        draw(policy, &kept, 40, seed)
    });
    // Four standard deviations of chi-square with 199 degrees of freedom, to both sides: too even is as wrong.
    let (mean, deviation) = (f64::from(TOTAL - 1), (2.0 * f64::from(TOTAL - 1)).sqrt());
    for counts in [kept, drawn, drawn_of_kept] {
        let statistic = chi_square(&counts, TOTAL, 40, SEEDS);
        assert!((statistic - mean).abs() < 4.0 * deviation, "{statistic}");
    }
}

#[test]
fn balanced_gives_domains_the_same_share_as_far_as_they_have_rows() {
    let rows = rows(&[("large", 500), ("middle", 100), ("small", 7)]);
    let policy = PolicyKind::Balanced.policy();
    let shares = |chosen: Vec<SampleId>| {
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for row in rows.iter().filter(|row| chosen.contains(&row.id)) {
            *shares.entry(row.domain.as_str()).or_default() += 1;
        }
        ["large", "middle", "small"].map(|name| shares.get(name).copied().unwrap_or(0))
    };
    assert_eq!(shares(draw(policy, &rows, 15, 3)), [5, 5, 5]);
    assert_eq!(shares(draw(policy, &rows, 107, 3)), [50, 50, 7]);
    assert_eq!(shares(keep(policy, &rows, 300, 3).into_iter().collect()), [193, 100, 7]);
}

#[test]
fn balanced_draws_uniformly_within_a_domain() {
    let rows = rows(&[("a", 100), ("b", 400)]);
    let mut counts = BTreeMap::new();
    for seed in 0..600 {
        let drawn = draw(PolicyKind::Balanced.policy(), &rows, 40, seed);
        drawn.into_iter().for_each(|id| *counts.entry(id).or_insert(0) += 1);
    }
    let statistic = chi_square(&counts, 100, 20, 600);
    assert!((statistic - 99.0).abs() < 4.0 * 198_f64.sqrt(), "{statistic}");
}

#[test]
fn recent_takes_the_newest() {
    let rows = rows(&[("a", 10)]);
    assert_eq!(draw(PolicyKind::Recent.policy(), &rows, 3, 0), [id(9), id(8), id(7)]);
    assert_eq!(keep(PolicyKind::Recent.policy(), &rows, 2, 0), BTreeSet::from([id(8), id(9)]));
}

#[test]
fn seeds_differ() {
    let rows = rows(&[("a", 100)]);
    let policy = PolicyKind::Reservoir.policy();
    assert_ne!(draw(policy, &rows, 10, 1), draw(policy, &rows, 10, 2));
    assert_ne!(keep(policy, &rows, 10, 1), draw(policy, &rows, 10, 1).into_iter().collect());
}

proptest! {
    #[test]
    fn choices_are_distinct_candidates_and_do_not_depend_on_order(
        domains in vec(0_u32..3, 0..60), n in 0_usize..80, seed: u64, shift in 0_usize..60, again in 0_usize..60,
    ) {
        let rows: Vec<ReplayRow> =
            (0..).zip(&domains).map(|(n, domain)| row(n, ["a", "b", "c"][*domain as usize])).collect();
        let mut shuffled = rows.clone();
        shuffled.rotate_left(shift.min(rows.len()));
        shuffled.extend(rows.iter().take(again).cloned());
        for kind in KINDS {
            let drawn = draw(kind.policy(), &rows, n, seed);
            prop_assert_eq!(drawn.len(), n.min(rows.len()));
            prop_assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len());
            prop_assert!(drawn.iter().all(|id| rows.iter().any(|row| row.id == *id)));
            prop_assert_eq!(&draw(kind.policy(), &shuffled, n, seed), &drawn);
            prop_assert_eq!(keep(kind.policy(), &shuffled, n, seed), keep(kind.policy(), &rows, n, seed));
        }
    }

    #[test]
    fn keeping_batch_by_batch_ends_as_keeping_at_once(count in 1_u32..120, batch in 1_usize..40, capacity in 1_usize..50, seed: u64) {
        let rows = rows(&[("a", count)]);
        for kind in [PolicyKind::Reservoir, PolicyKind::Recent] {
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
