use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use perennial_types::{CycleId, Domain, SampleId};
use proptest::{collection::vec, prelude::*};

use super::{
    super::{Draw, PolicyKind, ReplayRow, Signals, Space, draw, keep::keep},
    chi_square, id, of, policy, row, rows,
};

/// Rows on a line, each at its number; what is new is at 0.
struct Line;

impl Line {
    fn place(row: SampleId) -> f32 {
        static PLACES: LazyLock<BTreeMap<SampleId, u32>> = LazyLock::new(|| (0..1100).map(|n| (id(n), n)).collect());
        PLACES[&row] as f32
    }
}

impl Space for Line {
    fn to_new(&self, rows: &[SampleId]) -> Vec<f32> {
        rows.iter().map(|row| Self::place(*row)).collect()
    }

    fn to_row(&self, row: SampleId, rows: &[SampleId]) -> Vec<f32> {
        rows.iter().map(|other| (Self::place(*other) - Self::place(row)).powi(2)).collect()
    }
}

const LINE: Signals<'static> = Signals { space: Some(&Line), loss_rises: None };

fn shares(rows: &[ReplayRow], drawn: &[SampleId]) -> BTreeMap<String, usize> {
    let domains: BTreeMap<SampleId, &str> = rows.iter().map(|row| (row.id, row.domain.as_str())).collect();
    let mut shares = BTreeMap::new();
    drawn.iter().for_each(|id| *shares.entry(domains[id].to_owned()).or_default() += 1);
    shares
}

fn share(shares: &BTreeMap<String, usize>, name: &str) -> usize {
    shares.get(name).copied().unwrap_or(0)
}

#[test]
fn reservoir_gives_every_row_the_same_chance() {
    let rows = rows(&[("a", 150), ("b", 50)]);
    let counted = |choose: &dyn Fn(u64) -> Vec<SampleId>| {
        let mut counts = BTreeMap::new();
        (0..600).flat_map(choose).for_each(|id| *counts.entry(id).or_insert(0) += 1);
        counts
    };
    let drawn = counted(&|seed| draw(&of("reservoir", 40, seed), &rows, Signals::default()));
    // What is drawn from what is kept by the same seed must be as uniform: the two lots are independent.
    let drawn_of_kept = counted(&|seed| {
        let kept = keep(policy("reservoir").policy(), &rows, 80, seed);
        let kept: Vec<ReplayRow> = rows.iter().filter(|row| kept.contains(&row.id)).cloned().collect();
        draw(&of("reservoir", 40, seed), &kept, Signals::default())
    });
    for counts in [drawn, drawn_of_kept] {
        let statistic = chi_square(&counts, 200, 40, 600);
        assert!((statistic - 199.0).abs() < 4.0 * 398_f64.sqrt(), "{statistic}");
    }
}

#[test]
fn balanced_shares_grow_with_the_square_root() {
    let all = rows(&[("large", 900), ("middle", 100), ("small", 9)]);
    let found = shares(&all, &draw(&of("balanced", 86, 3), &all, Signals::default()));
    // √900 : √100 : √9 is 30 : 10 : 3; each is off by less than one row, as its beginning is random.
    for (name, expected) in [("large", 60), ("middle", 20), ("small", 6)] {
        assert!(share(&found, name).abs_diff(expected) <= 1, "{found:?}");
    }
    // A domain that runs out leaves its share to the others.
    let found = shares(&all, &draw(&of("balanced", 300, 3), &all, Signals::default()));
    assert_eq!((share(&found, "small"), found.values().sum::<usize>()), (9, 300));
    assert!(share(&found, "middle").abs_diff(73) <= 1, "{found:?}");
}

#[test]
fn balanced_counts_tokens() {
    let mut all = rows(&[("short", 400), ("long", 400)]);
    all.iter_mut().for_each(|row| row.tokens = Some(if row.domain.as_str() == "long" { 90 } else { 10 }));
    let found = shares(&all, &draw(&of("balanced", 1800, 5), &all, Signals::default()));
    assert!(share(&found, "long").abs_diff(10) <= 1 && share(&found, "short").abs_diff(90) <= 9, "{found:?}");
}

#[test]
fn balanced_expects_its_shares_even_where_there_are_more_domains_than_draws() {
    let names: Vec<(String, u32)> =
        (0..40).map(|n| if n < 20 { (format!("large{n}"), 9) } else { (format!("small{n}"), 1) }).collect();
    let all = rows(&names.iter().map(|(name, count)| (name.as_str(), *count)).collect::<Vec<_>>());
    let large = |seed| {
        let found = shares(&all, &draw(&of("balanced", 8, seed), &all, Signals::default()));
        found.iter().filter(|(name, _)| name.starts_with("large")).map(|(_, count)| *count).sum::<usize>()
    };
    // √9 : √1 for each of twenty: six of eight.
    let mean = (0..400).map(large).sum::<usize>() as f64 / 400.0;
    assert!((mean - 6.0).abs() < 0.2, "{mean}");
}

#[test]
fn balanced_and_least_replayed_go_round() {
    let mut all = rows(&[("a", 100)]);
    for name in ["balanced", "least_replayed"] {
        all.iter_mut().for_each(|row| (row.times_replayed, row.last_replayed_cycle) = (0, None));
        for cycle in 1..=10 {
            let drawn: BTreeSet<SampleId> = draw(&of(name, 20, cycle), &all, Signals::default()).into_iter().collect();
            for row in all.iter_mut().filter(|row| drawn.contains(&row.id)) {
                (row.times_replayed, row.last_replayed_cycle) = (row.times_replayed + 1, Some(CycleId(cycle)));
            }
        }
        assert!(all.iter().all(|row| row.times_replayed == 2), "{name}");
    }
}

#[test]
fn recent_similar_and_diverse_do_what_they_say() {
    let all = rows(&[("a", 10)]);
    assert_eq!(draw(&of("recent", 3, 0), &all, LINE), [9, 8, 7].map(id));
    assert_eq!(draw(&of("similar", 3, 0), &all, LINE), [0, 1, 2].map(id));
    for seed in 0..20 {
        let drawn: Vec<f32> = draw(&of("diverse", 4, seed), &all, LINE).into_iter().map(Line::place).collect();
        let to_nearest = |place: u32| drawn.iter().map(|centre| (centre - place as f32).abs()).fold(f32::MAX, f32::min);
        // Four centres can cover ten places within 1; the greedy ones are at most twice as far.
        assert!((0..10).all(|place| to_nearest(place) <= 2.0), "{drawn:?}");
    }
}

#[test]
fn loss_takes_what_rose_most_and_what_was_not_scored_last() {
    let all = rows(&[("a", 6), ("b", 4)]);
    let rises = BTreeMap::from([(0, -0.5), (1, 2.0), (2, f64::NAN), (3, 0.1), (6, 0.0), (7, -3.0), (9, 0.7)]);
    let rises = rises.into_iter().map(|(n, rise)| (id(n), rise)).collect();
    let signals = Signals { loss_rises: Some(&rises), ..Signals::default() };
    let drawn = |rows, fallen: &[&str]| {
        let fallen = fallen.iter().map(|name| Domain::new(name).unwrap()).collect();
        draw(&Draw { fallen, ..of("loss", rows, 0) }, &all, signals)
    };
    assert_eq!(drawn(6, &[]), [1, 9, 3, 6, 0, 7].map(id));
    let unscored: BTreeSet<SampleId> = drawn(10, &[])[6..].iter().copied().collect();
    assert_eq!(unscored, [2, 4, 5, 8].map(id).into());
    assert_eq!(drawn(4, &["b"]), [9, 6, 1, 3].map(id));
}

#[test]
fn spaced_takes_what_is_furthest_beyond_its_interval() {
    let replayed = |n, times_replayed, cycle| ReplayRow {
        times_replayed,
        last_replayed_cycle: Some(CycleId(cycle)),
        trained_cycle: Some(CycleId(1)),
        ..row(n, "a")
    };
    // In cycle 9: 2/2, 8/4, 8/16 and 4/1 of the interval.
    let all = [replayed(0, 1, 7), replayed(1, 2, 1), replayed(2, 4, 1), replayed(3, 0, 5)];
    assert_eq!(draw(&of("spaced", 4, 0), &all, Signals::default()), [3, 1, 0, 2].map(id));
    let never = ReplayRow { trained_cycle: None, ..row(4, "a") };
    assert_eq!(draw(&of("spaced", 1, 0), &[&all[..], &[never]].concat(), Signals::default()), [id(4)]);
}

#[test]
fn the_row_that_crosses_the_border_is_taken_where_that_comes_nearer() {
    let mut all = rows(&[("a", 5)]);
    all.iter_mut().for_each(|row| row.tokens = Some(10));
    let drawn = |tokens: f64| draw(&Draw { tokens, ..of("recent", 0, 0) }, &all, Signals::default()).len();
    assert_eq!([0.0, 4.9, 5.1, 14.0, 16.0, 1e9].map(drawn), [0, 0, 1, 1, 2, 5]);
    // As training cuts them, and as what is not known is guessed.
    all.iter_mut().for_each(|row| row.tokens = None);
    let guessed = Draw { row_tokens_default: 50, row_tokens_max: 20, tokens: 40.0, ..of("recent", 0, 0) };
    assert_eq!(draw(&guessed, &all, Signals::default()).len(), 2);
}

#[test]
fn seeds_differ() {
    let all = rows(&[("a", 100)]);
    assert_ne!(
        draw(&of("reservoir", 10, 1), &all, Signals::default()),
        draw(&of("reservoir", 10, 2), &all, Signals::default())
    );
    let drawn: BTreeSet<SampleId> = draw(&of("reservoir", 10, 1), &all, Signals::default()).into_iter().collect();
    assert_ne!(keep(policy("reservoir").policy(), &all, 10, 1), drawn);
}

#[test]
fn half_goes_to_domains_that_fell() {
    let all = rows(&[("a", 500), ("b", 30), ("c", 500)]);
    let fallen = |names: &[&str]| names.iter().map(|name| Domain::new(name).unwrap()).collect();
    for kind in PolicyKind::all() {
        let fell = |names: &[&str], rows| {
            let spec = Draw { fallen: fallen(names), ..of(kind.as_str(), rows, 4) };
            shares(&all, &draw(&spec, &all, LINE))
        };
        assert!(share(&fell(&["b"], 40), "b") >= 20, "{kind:?}");
        // What they do not have goes to all.
        let found = fell(&["b"], 100);
        assert_eq!((share(&found, "b"), found.values().sum::<usize>()), (30, 100), "{kind:?}");
        assert_eq!(fell(&["gone"], 40), fell(&[], 40), "{kind:?}");
    }
}

proptest! {
    #[test]
    fn draws_are_bounded_and_do_not_depend_on_order(
        described in vec((0_usize..3, 0_u32..40, 0_u32..4), 0..60), tokens in 0.0_f64..900.0, seed: u64, repeats_max in 1_usize..4,
        shift in 0_usize..60, again in 0_usize..60, falls: bool,
    ) {
        let rows: Vec<ReplayRow> = (0..)
            .zip(&described)
            .map(|(n, (domain, tokens, times_replayed))| ReplayRow {
                tokens: (*tokens > 0).then_some(*tokens),
                times_replayed: *times_replayed,
                ..row(n, ["a", "b", "c"][*domain])
            })
            .collect();
        let mut shuffled = rows.clone();
        shuffled.rotate_left(shift.min(rows.len()));
        shuffled.extend(rows.iter().take(again).cloned());
        for kind in PolicyKind::all() {
            let fallen = if falls { BTreeSet::from([Domain::new("b").unwrap()]) } else { BTreeSet::new() };
            let spec = Draw { policy: kind, tokens, repeats_max, fallen, row_tokens_default: 9, ..of("recent", 0, seed) };
            let drawn = draw(&spec, &rows, LINE);
            prop_assert_eq!(&draw(&spec, &shuffled, LINE), &drawn);
            let mut times: BTreeMap<SampleId, usize> = BTreeMap::new();
            drawn.iter().for_each(|id| *times.entry(*id).or_default() += 1);
            prop_assert!(times.values().all(|times| *times <= repeats_max));
            let own: BTreeMap<SampleId, u64> = rows.iter().map(|row| (row.id, spec.tokens_of(row))).collect();
            prop_assert!(times.keys().all(|id| own.contains_key(id)));
            let found = drawn.iter().map(|id| own[id]).sum::<u64>() as f64;
            let all = repeats_max as f64 * own.values().sum::<u64>() as f64;
            let longest = own.values().max().copied().unwrap_or(0) as f64;
            // As near as the longest row allows, or all that there is.
            prop_assert!(found <= tokens + longest / 2.0);
            prop_assert!(found >= tokens.min(all) - longest / 2.0 - 1e-9, "{} of {} and {}", found, tokens, all);
        }
    }
}
