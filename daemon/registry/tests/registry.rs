//! The registry as the cycle uses it.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::{collections::BTreeSet, path::PathBuf};

use common::*;
use perennial_registry::{
    AdapterState, CycleOutcome, DomainCounts, NewDecision, Phase, Product, PromotionReason, Registry, RegistryError,
    Source, invariants,
};
use perennial_types::{CycleId, Domain, Kind, SampleId};
use rstest::rstest;
use serde_json::json;
use tempfile::TempDir;

fn open() -> (TempDir, PathBuf, Registry) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("perennial.db");
    let registry = Registry::open(&path).unwrap();
    (folder, path, registry)
}

/// A new cycle, up to the scores.
fn evaluated(registry: &Registry, weights: &str) -> CycleId {
    let cycle = registry.begin_cycle(&new_cycle(), 0).unwrap();
    record(registry, cycle, Product::Collected).unwrap();
    record(registry, cycle, Product::Mixed { mix: fingerprint("mix") }).unwrap();
    record(registry, cycle, Product::Trained(&adapter(weights, registry.champion().unwrap()))).unwrap();
    record(registry, cycle, Product::Evaluated { suites: &suites() }).unwrap();
    cycle
}

/// A whole cycle.
fn cycle(registry: &Registry, weights: &str, passed: bool, consumed: Vec<SampleId>) -> CycleId {
    let cycle = evaluated(registry, weights);
    record(registry, cycle, Product::Decided(&decision(weights, passed, consumed))).unwrap();
    if passed {
        record(registry, cycle, Product::Published).unwrap();
    }
    cycle
}

#[test]
fn a_sample_id_is_stored_once_or_the_whole_segment_is_refused() {
    let (_folder, _, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, true)]).unwrap();
    let error = add(&registry, "b", &[sample(3, false), sample(2, false)]).unwrap_err();
    assert!(matches!(error, RegistryError::DuplicateSample(found) if found == id(2)));
    assert!(matches!(add(&registry, "a", &[]).unwrap_err(), RegistryError::DuplicateSegment(_)));
    assert_eq!(registry.known(&[id(1), id(2), id(3)]).unwrap(), BTreeSet::from([id(1), id(2)]));
    assert_eq!(registry.segment_paths().unwrap(), ["segments/a.parquet".to_owned()].into());
    assert_eq!(registry.segment_totals().unwrap(), (1, 2, 10));
    registry.check().unwrap();
}

#[test]
fn samples_are_fresh_until_a_cycle_consumes_them_and_held_out_ones_never() {
    let (_folder, _, registry) = open();
    add(&registry, "a", &[sample(2, false), sample(1, false), sample(3, true), sample(4, false)]).unwrap();
    let fresh = |limit| -> Vec<_> {
        let records = registry.fresh_samples(&[Kind::Messages], None, limit).unwrap();
        records.into_iter().map(|record| record.id).collect()
    };
    assert_eq!(fresh(2), [id(1), id(2)], "oldest first");
    assert!(registry.fresh_samples(&[Kind::Text, Kind::Preference], None, 9).unwrap().is_empty());
    let counts = registry.held_out_counts().unwrap();
    assert_eq!(counts[&Domain::default()], DomainCounts { held_out: 1, training: 3 });
    assert_eq!(registry.held_out_samples(Some(&Domain::default())).unwrap()[0].id, id(3));

    cycle(&registry, "w", true, vec![id(1), id(2)]);
    assert_eq!(fresh(9), [id(4)]);
    let waiting = registry.fresh(&[Kind::Messages], None).unwrap();
    assert_eq!((waiting.count, waiting.oldest_ms), (1, Some(4)));
    let replayable: BTreeSet<_> = registry.replayable().unwrap().into_iter().map(|record| record.id).collect();
    assert_eq!(replayable, BTreeSet::from([id(1), id(2)]));
    registry.check().unwrap();
}

#[rstest]
#[case::held_out(3)]
#[case::unknown(9)]
#[case::consumed_before(1)]
fn what_is_not_fresh_cannot_be_consumed(#[case] bad: u64) {
    let (_folder, _, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, false), sample(3, true)]).unwrap();
    cycle(&registry, "first", true, vec![id(1)]);
    let second = evaluated(&registry, "second");
    let decided = decision("second", true, vec![id(2), id(bad)]);
    let error = record(&registry, second, Product::Decided(&decided)).unwrap_err();
    assert!(matches!(error, RegistryError::NotFresh(found) if found == id(bad)));
    assert_eq!(registry.champion().unwrap(), Some(adapter_id("first")), "nothing of a refused decision stays");
    assert_eq!(registry.fresh(&[Kind::Messages], None).unwrap().count, 1);
    registry.check().unwrap();
}

#[test]
fn a_rejected_cycle_gives_its_samples_back_on_request() {
    let (_folder, _, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, false)]).unwrap();
    let rejected = cycle(&registry, "bad", false, vec![id(1)]);
    assert!(registry.replayable().unwrap().is_empty());
    assert_eq!(registry.requeue(rejected).unwrap(), 1);
    assert_eq!(registry.fresh(&[Kind::Messages], None).unwrap().count, 2);
    let promoted = cycle(&registry, "good", true, vec![id(1), id(2)]);
    assert!(matches!(registry.requeue(promoted).unwrap_err(), RegistryError::NotRequeueable(..)));
    registry.roll_back(None, 0).unwrap();
    assert_eq!(registry.requeue(promoted).unwrap(), 2);
}

#[test]
fn index_flags_follow_what_was_indexed() {
    let (_folder, _, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, false), sample(3, true)]).unwrap();
    assert_eq!(registry.unindexed_count().unwrap(), 2);
    registry.mark_indexed(&[id(1)]).unwrap();
    registry.mark_indexed(&[id(1)]).unwrap();
    assert_eq!(registry.unindexed(9).unwrap()[0].id, id(2));
    assert!(matches!(registry.mark_indexed(&[id(2), id(3)]).unwrap_err(), RegistryError::NotIndexable(_)));
    assert_eq!(registry.unindexed_count().unwrap(), 1);
    registry.forget_index().unwrap();
    assert_eq!(registry.unindexed_count().unwrap(), 2);
}

#[test]
fn a_source_taken_twice_is_visible_and_keeps_its_better_count() {
    let (_folder, _, registry) = open();
    let (fingerprint, name) = (fingerprint("file"), "a.jsonl".to_owned());
    let first = Source { fingerprint, name, bytes: 9, stored: 5, duplicates: 0, quarantined: 1 };
    assert_eq!(registry.record_source(&first, 10).unwrap(), 1);
    let again = Source { stored: 0, duplicates: 5, ..first.clone() };
    assert_eq!(registry.record_source(&again, 20).unwrap(), 2);
    let taken = registry.source(&fingerprint).unwrap().unwrap();
    assert_eq!((taken.source, taken.first_ms, taken.last_ms), (first, 10, 20));
    assert_eq!(registry.sources(9).unwrap().len(), 1);
}

#[test]
fn phases_are_recorded_once_and_in_order() {
    let (_folder, _, registry) = open();
    let cycle = registry.begin_cycle(&new_cycle(), 5).unwrap();
    assert!(
        matches!(registry.begin_cycle(&new_cycle(), 5).unwrap_err(), RegistryError::CycleOpen(open) if open == cycle)
    );
    let error = record(&registry, cycle, Product::Published).unwrap_err();
    assert_eq!(error.to_string(), "cycle 000001: published cannot be recorded, the next phase is collected");
    registry.record_phase(cycle, Product::Collected, &json!({"new": 3}), 6).unwrap();
    assert!(record(&registry, cycle, Product::Collected).is_err());
    let known = registry.open_cycle().unwrap().unwrap();
    assert_eq!((known.phase(), known.next_phase()), (Some(Phase::Collected), Some(Phase::Mixed)));
    assert_eq!((known.detail(Phase::Collected), known.seed), (Some(&json!({"new": 3})), u64::MAX));
    registry.fail_cycle(cycle, "disk full", "make room", 7).unwrap();
    assert!(matches!(registry.fail_cycle(cycle, "again", "", 8).unwrap_err(), RegistryError::CycleClosed(_)));
    let known = registry.cycle(cycle).unwrap().unwrap();
    assert_eq!(
        known.outcome,
        Some(CycleOutcome::Failed { reason: "disk full".to_owned(), remedy: "make room".to_owned() })
    );
    assert_eq!((known.next_phase(), registry.open_cycle().unwrap()), (None, None));
}

#[test]
fn a_decision_on_other_fingerprints_is_refused() {
    let (_folder, _, registry) = open();
    let cycle = evaluated(&registry, "w");
    let right = decision("w", true, vec![]);
    let other = fingerprint("other");
    let wrong = [
        NewDecision { files: other, ..right.clone() },
        NewDecision { base: other, ..right.clone() },
        NewDecision { mix: other, ..right.clone() },
        NewDecision { suites: [("general".to_owned(), other)].into(), ..right.clone() },
    ];
    for decision in wrong {
        let error = record(&registry, cycle, Product::Decided(&decision)).unwrap_err();
        assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
    }
    assert_eq!(registry.champion().unwrap(), None);
    record(&registry, cycle, Product::Decided(&right)).unwrap();
    assert_eq!(registry.champion().unwrap(), Some(adapter_id("w")));
    assert!(matches!(registry.abort_cycle(cycle, "late", 0).unwrap_err(), RegistryError::AlreadyPromoted(_)));
}

#[test]
fn a_champion_changed_under_a_cycle_voids_its_decision() {
    let (_folder, _, registry) = open();
    cycle(&registry, "first", true, vec![]);
    let second = evaluated(&registry, "second");
    registry.roll_back(None, 0).unwrap();
    let error = record(&registry, second, Product::Decided(&decision("second", true, vec![]))).unwrap_err();
    assert!(matches!(error, RegistryError::ChampionChanged { .. }));
    registry.abort_cycle(second, "void", 0).unwrap();
    assert_eq!(registry.adapter(&adapter_id("second")).unwrap().unwrap().state, AdapterState::Rejected);
    registry.check().unwrap();
}

#[test]
fn rolling_back_walks_the_line_down_to_the_base_model() {
    let (_folder, _, registry) = open();
    for weights in ["a", "b", "c"] {
        cycle(&registry, weights, true, vec![]);
    }
    assert_eq!(registry.roll_back(None, 0).unwrap(), Some(adapter_id("b")));
    cycle(&registry, "d", true, vec![]);
    assert_eq!(registry.roll_back(None, 0).unwrap(), Some(adapter_id("b")));
    assert_eq!(registry.roll_back(None, 0).unwrap(), Some(adapter_id("a")));
    assert_eq!(registry.roll_back(None, 0).unwrap(), None);
    assert!(matches!(registry.roll_back(None, 0).unwrap_err(), RegistryError::NothingToRollBack));
    assert!(registry.adapters().unwrap().iter().all(|adapter| adapter.state == AdapterState::Retired));
    registry.check().unwrap();
}

#[test]
fn rolling_back_to_a_named_champion_drops_all_after_it() {
    let (_folder, _, registry) = open();
    for weights in ["a", "b", "c"] {
        cycle(&registry, weights, true, vec![]);
    }
    let (a, b, c) = (adapter_id("a"), adapter_id("b"), adapter_id("c"));
    for never in [&c, &adapter_id("x")] {
        let error = registry.roll_back(Some(never), 0).unwrap_err();
        assert!(matches!(error, RegistryError::NotAnEarlierChampion(_)));
    }
    registry.force_promote(&a, "again", 0).unwrap();
    assert_eq!(registry.roll_back(Some(&b), 0).unwrap(), Some(b));
    assert_eq!(registry.roll_back(Some(&a), 0).unwrap(), Some(a));
    assert_eq!(registry.roll_back(None, 0).unwrap(), None);
    registry.check().unwrap();
}

#[test]
fn a_forced_promotion_is_recorded_as_one() {
    let (_folder, _, registry) = open();
    cycle(&registry, "bad", false, vec![]);
    let bad = adapter_id("bad");
    assert!(matches!(
        registry.force_promote(&adapter_id("x"), "why", 0).unwrap_err(),
        RegistryError::UnknownAdapter(_)
    ));
    registry.force_promote(&bad, "why", 9).unwrap();
    assert!(matches!(registry.force_promote(&bad, "why", 9).unwrap_err(), RegistryError::AlreadyChampion(_)));
    let adapter = registry.adapter(&bad).unwrap().unwrap();
    assert!(adapter.forced && adapter.state == AdapterState::Champion);
    assert!(!adapter.lineage.gate.unwrap().passed);
    let promotion = &registry.promotions().unwrap()[0];
    assert_eq!((promotion.reason, promotion.note.as_deref()), (PromotionReason::Forced, Some("why")));
    registry.check().unwrap();
}

#[test]
fn the_same_bytes_may_come_out_of_two_cycles() {
    let (_folder, _, registry) = open();
    cycle(&registry, "w", false, vec![]);
    let second = cycle(&registry, "w", true, vec![]);
    let adapter = registry.adapter(&adapter_id("w")).unwrap().unwrap();
    assert_eq!((adapter.state, adapter.lineage.cycle), (AdapterState::Champion, second));
    cycle(&registry, "w", true, vec![]);
    assert_eq!(registry.promotions().unwrap().len(), 1, "the champion did not change");
    cycle(&registry, "w", false, vec![]);
    assert_eq!(registry.champion().unwrap(), Some(adapter_id("w")));
    registry.check().unwrap();
}

#[rstest]
#[case("UPDATE champion SET adapter = NULL", invariants::exactly_one_champion)]
#[case("UPDATE adapters SET state = 'retired'", invariants::exactly_one_champion)]
#[case("DELETE FROM promotions", invariants::exactly_one_champion)]
#[case("UPDATE decisions SET passed = 0", invariants::no_promotion_without_passed_gate)]
#[case("UPDATE decisions SET mix = 'x'", invariants::no_promotion_without_passed_gate)]
#[case("UPDATE candidates SET base = 'x'", invariants::no_promotion_without_passed_gate)]
#[case("UPDATE cycles SET suites = '{}'", invariants::no_promotion_without_passed_gate)]
#[case("DELETE FROM samples", invariants::sample_id_stored_once)]
#[case("DELETE FROM phases WHERE phase = 2", invariants::phases_in_order)]
#[case("DELETE FROM phases WHERE phase = 5", invariants::phases_in_order)]
fn damage_is_found_by_its_property(
    #[case] damage: &str,
    #[case] property: fn(&rusqlite::Connection) -> Result<(), RegistryError>,
) {
    let (_folder, _, registry) = open();
    add(&registry, "a", &[sample(1, false)]).unwrap();
    cycle(&registry, "w", true, vec![id(1)]);
    registry.read(property).unwrap();
    registry.read(|connection| connection.execute_batch(damage)).unwrap();
    assert!(matches!(registry.read(property).unwrap_err(), RegistryError::Invariant { .. }));
    assert!(registry.check().is_err());
}

#[test]
fn another_programs_or_a_newer_database_is_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Registry::open(&foreign).unwrap_err(), RegistryError::Foreign { .. }));
    let (_folder, path, registry) = open();
    registry.read(|connection| connection.pragma_update(None, "user_version", 99)).unwrap();
    drop(registry);
    assert!(matches!(Registry::open(&path).unwrap_err(), RegistryError::Newer { found: 99, .. }));
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "no database at all, but long enough to be read as a header of one").unwrap();
    assert!(matches!(Registry::open(&garbage).unwrap_err(), RegistryError::Open { .. }));
    assert_eq!(std::fs::read(&garbage).unwrap().len(), 65);
}

#[test]
fn commits_are_fully_synchronous() {
    let (_folder, _, registry) = open();
    let pragma =
        |name: &str| registry.read(|connection| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)));
    assert_eq!(pragma("synchronous").unwrap(), 2);
    assert_eq!(pragma("foreign_keys").unwrap(), 1);
    let mode: String =
        registry.read(|connection| connection.pragma_query_value(None, "journal_mode", |row| row.get(0))).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn full_disk_is_told_and_changes_nothing() {
    let (_folder, _, registry) = open();
    registry.read(|connection| {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    });
    let samples: Vec<_> = (0..1000).map(|number| sample(number, false)).collect();
    let error = add(&registry, "one", &samples).unwrap_err();
    assert!(error.is_storage_full(), "{error}");
    assert_eq!(registry.segment_totals().unwrap(), (0, 0, 0));
    assert!(!RegistryError::NothingToRollBack.is_storage_full());
}

#[test]
fn a_check_at_start_is_bounded_in_time_and_finds_damage() {
    let (_folder, path, registry) = open();
    for segment in 0..50 {
        let samples: Vec<_> = (0..200).map(|number| sample(segment * 200 + number, false)).collect();
        add(&registry, &segment.to_string(), &samples).unwrap();
    }
    assert!(registry.check_for(std::time::Duration::from_secs(60)).unwrap(), "all of it in a minute");
    assert!(!registry.check_for(std::time::Duration::ZERO).unwrap(), "none of it in no time");
    registry.check().unwrap();
    let kept: i64 = registry
        .read(|connection| connection.pragma_query_value(None, "journal_size_limit", |row| row.get(0)))
        .unwrap();
    let synchronous: i64 =
        registry.read(|connection| connection.pragma_query_value(None, "synchronous", |row| row.get(0))).unwrap();
    assert_eq!((kept, synchronous), (4 << 20, 2), "the log is cut back, and every commit is synced");
    drop(registry);

    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let registry = Registry::open(&path).unwrap();
    assert!(registry.check_for(std::time::Duration::from_secs(60)).is_err());
}
