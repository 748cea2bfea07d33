//! The windows that drift is measured by.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;

use common::{adapter, adapter_id, add, decision, fingerprint, id, new_cycle, record, sample, suites};
use perennial_registry::{Product, Registry, SampleRecord, Source, SourceCounts};
use perennial_types::{CycleId, SampleId};
use tempfile::TempDir;

fn ids(records: &[SampleRecord]) -> Vec<SampleId> {
    records.iter().map(|record| record.id).collect()
}

fn promoted(registry: &Registry, weights: &str, learned: &[u64]) -> CycleId {
    let cycle = registry.begin_cycle(&new_cycle(), 0).unwrap();
    record(registry, cycle, Product::Collected).unwrap();
    record(registry, cycle, Product::Mixed { mix: fingerprint("mix") }).unwrap();
    record(registry, cycle, Product::Trained(&adapter(weights, None))).unwrap();
    record(registry, cycle, Product::Evaluated { suites: &suites() }).unwrap();
    let learned = learned.iter().map(|number| id(*number)).collect();
    record(registry, cycle, Product::Decided(&decision(weights, true, learned))).unwrap();
    record(registry, cycle, Product::Published).unwrap();
    assert_eq!(registry.champion().unwrap(), Some(adapter_id(weights)));
    cycle
}

#[test]
fn a_window_is_what_came_last_but_for_what_the_cycle_learned_or_is_held_out() {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
    let samples: Vec<_> = (1..=8).map(|number| sample(number, number == 4 || number == 7)).collect();
    add(&registry, "a", &samples).unwrap();
    let cycle = promoted(&registry, "one", &[1, 2, 5]);
    let arrived = |after_ms, limit| ids(&registry.samples_arrived(after_ms, cycle, limit).unwrap());
    assert_eq!(arrived(0, 9), [id(3), id(6), id(8)]);
    assert_eq!(arrived(3, 9), [id(6), id(8)]);
    assert_eq!(arrived(0, 2), [id(6), id(8)], "the last, the oldest first");
    assert_eq!(ids(&registry.samples_arrived(0, CycleId(9), 9).unwrap()).len(), 6, "of another cycle");
    let learned: BTreeSet<SampleId> = ids(&registry.samples_of_cycle(cycle, 9).unwrap()).into_iter().collect();
    assert_eq!(learned, BTreeSet::from([id(1), id(2), id(5)]));
    assert_eq!(registry.samples_of_cycle(cycle, 2).unwrap().len(), 2);
    assert_eq!(registry.replayable_ids(9).unwrap().len(), 3);
    assert_eq!(ids(&registry.held_out_until(7, 9).unwrap()), [id(4), id(7)]);
    assert_eq!(ids(&registry.held_out_until(6, 9).unwrap()), [id(4)]);
    assert_eq!(ids(&registry.held_out_until(7, 1).unwrap()), [id(7)]);
}

#[test]
fn sources_of_a_time_are_those_first_taken_in_it() {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
    for (name, at_ms, quarantined) in [("a", 10, 1), ("b", 20, 2), ("c", 30, 3)] {
        let source = Source {
            fingerprint: fingerprint(name),
            name: name.to_owned(),
            bytes: 9,
            stored: 5,
            duplicates: 1,
            quarantined,
        };
        registry.record_source(&source, at_ms).unwrap();
        registry.record_source(&source, 99).unwrap();
    }
    let taken = |after_ms, until_ms, limit| -> Vec<u64> {
        let sources = registry.sources_taken(after_ms, until_ms, limit).unwrap();
        assert!(sources.iter().all(|SourceCounts { rows, refused }| *rows == 6 + refused));
        sources.into_iter().map(|source| source.refused).collect()
    };
    assert_eq!(taken(0, 99, 9), [1, 2, 3]);
    assert_eq!(taken(10, 29, 9), [2]);
    assert_eq!(taken(0, 99, 2), [2, 3]);
}
