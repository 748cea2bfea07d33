//! What a candidate learned that the gate refused: it comes back, each time counted, until it is set aside.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::{adapter, adapter_id, add, decision, fingerprint, id, new_cycle, record, sample, suites};
use perennial_registry::{NewDecision, PinReason, Product, Registry, Tries};
use perennial_types::{CycleId, Kind, SampleId};
use tempfile::TempDir;

fn open() -> (TempDir, Registry) {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
    (folder, registry)
}

fn cycle(registry: &Registry, weights: &str, decision: &NewDecision) -> CycleId {
    let cycle = registry.begin_cycle(&new_cycle(), 0).unwrap();
    record(registry, cycle, Product::Collected).unwrap();
    record(registry, cycle, Product::Mixed { mix: fingerprint("mix") }).unwrap();
    record(registry, cycle, Product::Trained(&adapter(weights, registry.champion().unwrap()))).unwrap();
    record(registry, cycle, Product::Evaluated { suites: &suites() }).unwrap();
    record(registry, cycle, Product::Decided(decision)).unwrap();
    if decision.passed {
        record(registry, cycle, Product::Published).unwrap();
    }
    registry.check().unwrap();
    cycle
}

fn refused(registry: &Registry, weights: &str, learned: &[u64]) -> CycleId {
    cycle(registry, weights, &decision(weights, false, learned.iter().map(|number| id(*number)).collect()))
}

fn fresh(registry: &Registry) -> Vec<SampleId> {
    registry.fresh_samples(&[Kind::Messages], None, 99).unwrap().iter().map(|record| record.id).collect()
}

fn waiting(registry: &Registry) -> (u64, u64, Option<i64>) {
    let fresh = registry.fresh(&[Kind::Messages], None).unwrap();
    (fresh.count, fresh.refused, fresh.oldest_new_ms)
}

#[test]
fn what_was_refused_comes_back_behind_what_is_new_and_is_counted() {
    let (_folder, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, false), sample(3, false)]).unwrap();
    refused(&registry, "one", &[1, 2]);
    assert_eq!(fresh(&registry), [id(3), id(1), id(2)]);
    assert_eq!(waiting(&registry), (3, 2, Some(3)));
    refused(&registry, "two", &[1, 3]);
    assert_eq!(fresh(&registry), [id(2), id(3), id(1)], "the least tried first");
    assert_eq!(waiting(&registry), (3, 3, None));
    let tries = registry.tries(&[id(1), id(2), id(9)]).unwrap();
    let expected = [(id(1), Tries { all: 2, since: 2 }), (id(2), Tries { all: 1, since: 1 })];
    assert_eq!(tries, BTreeMap::from(expected));
    assert!(registry.replayable().unwrap().is_empty());
    cycle(&registry, "three", &decision("three", true, vec![id(1)]));
    assert_eq!(fresh(&registry), [id(2), id(3)]);
    assert_eq!(registry.replayable().unwrap()[0].id, id(1));
}

#[test]
fn what_was_tried_often_enough_is_set_aside_with_the_decision_and_can_be_taken_back() {
    let (folder, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, false)]).unwrap();
    refused(&registry, "one", &[1, 2]);
    let set_aside = BTreeMap::from([(id(1), "refused twice".to_owned())]);
    let second = NewDecision { set_aside, ..decision("two", false, vec![id(1), id(2)]) };
    let second = cycle(&registry, "two", &second);
    assert_eq!(fresh(&registry), [id(2)]);
    assert_eq!(registry.set_aside_samples(Some(second), 9).unwrap()[0].reason, "refused twice");
    let copy = Registry::open(&folder.path().join("perennial.db")).unwrap();
    assert_eq!(copy.take_back(&[id(1)]).unwrap(), 1);
    let tries = copy.tries(&[id(1)]).unwrap();
    assert_eq!(tries[&id(1)], Tries { all: 2, since: 0 }, "it may be tried again, and the gate knows of both");
    assert_eq!(waiting(&copy), (2, 1, Some(1)));
    assert_eq!(copy.requeue(second).unwrap(), 1, "the other one waited for a change");
    assert_eq!(waiting(&copy), (2, 0, Some(1)));
    copy.check().unwrap();
}

#[test]
fn what_somebody_promotes_after_all_has_learned_its_samples() {
    let (_folder, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, false)]).unwrap();
    let first = NewDecision {
        set_aside: BTreeMap::from([(id(1), "refused".to_owned())]),
        ..decision("one", false, vec![id(1), id(2)])
    };
    let first = cycle(&registry, "one", &first);
    registry.force_promote(&adapter_id("one"), "why", 0).unwrap();
    assert_eq!((fresh(&registry).len(), registry.replayable().unwrap().len()), (0, 2));
    assert_eq!(registry.set_aside_count().unwrap(), 0);
    registry.roll_back(None, 0).unwrap();
    assert_eq!(registry.requeue(first).unwrap(), 2);
    assert_eq!(waiting(&registry), (2, 0, Some(1)));
    registry.check().unwrap();
}

#[test]
fn the_anchor_is_the_last_that_was_pinned_and_its_history_stays() {
    let (_folder, registry) = open();
    assert_eq!(registry.pinned().unwrap(), None);
    assert!(registry.pin(Some(&adapter_id("unknown")), "", 0).is_err());
    let passed = NewDecision { pins: true, ..decision("one", true, vec![]) };
    let first = cycle(&registry, "one", &passed);
    let pinned = registry.pinned().unwrap().unwrap();
    assert_eq!((pinned.adapter, pinned.reason, pinned.cycle), (Some(adapter_id("one")), PinReason::Test, Some(first)));
    registry.pin(None, "begin anew", 7).unwrap();
    let pins = registry.pins().unwrap();
    assert_eq!(pins.len(), 2);
    assert_eq!((pins[1].adapter.clone(), pins[1].note.as_deref(), pins[1].at_ms), (None, Some("begin anew"), 7));
    assert_eq!(registry.pinned().unwrap().as_ref(), pins.last());
}

#[test]
fn a_suites_metric_is_the_first_that_it_was_given() {
    let (_folder, registry) = open();
    let cycle = refused(&registry, "one", &[]);
    registry.fix_suite_metric("auto:a", "json_field_f1", cycle).unwrap();
    registry.fix_suite_metric("auto:a", "token_f1", cycle).unwrap();
    assert_eq!(registry.suite_metrics().unwrap(), BTreeMap::from([("auto:a".to_owned(), "json_field_f1".to_owned())]));
}
