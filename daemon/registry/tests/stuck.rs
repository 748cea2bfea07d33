//! What the registry knows of cycles that do not get on, and of samples that nothing can be learned from.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::BTreeMap;

use common::*;
use perennial_registry::{CycleOutcome, Product, Registry, RegistryError, Trouble};
use perennial_types::{CycleId, Domain, Kind, SampleId};
use tempfile::TempDir;

fn open() -> (TempDir, Registry) {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
    (folder, registry)
}

fn begun(registry: &Registry) -> CycleId {
    registry.begin_cycle(&new_cycle(), 0).unwrap()
}

fn aside<const N: usize>(samples: [(u64, &str); N]) -> BTreeMap<SampleId, String> {
    samples.map(|(number, reason)| (id(number), reason.to_owned())).into()
}

#[test]
fn attempts_count_until_the_cycle_gets_further() {
    let (_folder, registry) = open();
    let cycle = begun(&registry);
    let attempt = |progress: &str| registry.begin_attempt(cycle, progress).unwrap();
    assert_eq!([attempt("a"), attempt("a"), attempt("a")], [1, 2, 3]);
    registry.give_attempt_back(cycle).unwrap();
    assert_eq!(attempt("a"), 3, "an orderly stop is no attempt");
    assert_eq!(attempt("b"), 1, "a new checkpoint begins the count anew");
    assert_eq!(attempt("b"), 2);
    record(&registry, cycle, Product::Collected).unwrap();
    assert_eq!(registry.cycle(cycle).unwrap().unwrap().attempts, 1);
    assert_eq!(attempt("b"), 2, "so does a phase, and the run that recorded it was the first to try the next");
}

#[test]
fn trouble_keeps_its_beginning_until_a_phase_is_recorded() {
    let (_folder, registry) = open();
    let cycle = begun(&registry);
    registry.record_trouble(cycle, "no room", 5).unwrap();
    registry.record_trouble(cycle, "still no room", 9).unwrap();
    let trouble = || registry.cycle(cycle).unwrap().unwrap().trouble;
    assert_eq!(trouble(), Some(Trouble { reason: "still no room".to_owned(), at_ms: 9, since_ms: 5 }));
    record(&registry, cycle, Product::Collected).unwrap();
    assert_eq!(trouble(), None);
}

#[test]
fn an_end_is_asked_for_only_while_it_can_come() {
    let (_folder, registry) = open();
    let cycle = begun(&registry);
    registry.request_abort(cycle, "by hand").unwrap();
    assert_eq!(registry.open_cycle().unwrap().unwrap().abort.as_deref(), Some("by hand"));
    registry.abort_cycle(cycle, "by hand", 3).unwrap();
    let outcome = registry.cycle(cycle).unwrap().unwrap().outcome;
    assert_eq!(outcome, Some(CycleOutcome::Aborted { reason: "by hand".to_owned() }));
    assert!(matches!(registry.request_abort(cycle, "").unwrap_err(), RegistryError::CycleClosed(_)));
    assert!(matches!(registry.begin_attempt(cycle, "").unwrap_err(), RegistryError::CycleClosed(_)));
    assert!(matches!(registry.request_abort(CycleId(9), "").unwrap_err(), RegistryError::UnknownCycle(_)));

    let promoted = begun(&registry);
    record(&registry, promoted, Product::Collected).unwrap();
    record(&registry, promoted, Product::Mixed { mix: fingerprint("mix") }).unwrap();
    record(&registry, promoted, Product::Trained(&adapter("w", None))).unwrap();
    record(&registry, promoted, Product::Evaluated { suites: &suites() }).unwrap();
    record(&registry, promoted, Product::Decided(&decision("w", true, vec![]))).unwrap();
    assert!(matches!(registry.request_abort(promoted, "").unwrap_err(), RegistryError::AlreadyPromoted(_)));
    assert_eq!(registry.champion().unwrap(), Some(adapter_id("w")));
}

#[test]
fn what_is_set_aside_is_not_collected_indexed_or_consumed_until_it_is_taken_back() {
    let (_folder, registry) = open();
    add(&registry, "a", &[sample(1, false), sample(2, false), sample(3, false)]).unwrap();
    let cycle = begun(&registry);
    assert_eq!(registry.set_aside(&aside([(1, "empty"), (2, "too long")]), Some(cycle), 7).unwrap(), 2);
    assert_eq!(registry.set_aside(&aside([(2, "again")]), None, 8).unwrap(), 0, "the first reason stays");
    let fresh = || registry.fresh(&[Kind::Messages], None).unwrap().count;
    assert_eq!((fresh(), registry.unindexed_count().unwrap(), registry.set_aside_count().unwrap()), (1, 1, 2));
    assert_eq!(registry.unindexed(9).unwrap()[0].id, id(3));
    let known = registry.set_aside_samples(Some(cycle), 9).unwrap();
    let reasons: Vec<(&str, Option<CycleId>)> =
        known.iter().map(|known| (known.reason.as_str(), known.cycle)).collect();
    assert!(reasons.contains(&("too long", Some(cycle))), "{reasons:?}");
    assert!(registry.set_aside(&aside([(9, "unknown")]), None, 7).is_err());

    assert_eq!(registry.take_back(&[id(1)]).unwrap(), 1);
    assert_eq!(fresh(), 2);
    registry.fail_cycle(cycle, "nothing to learn", "", 9).unwrap();
    assert_eq!(registry.requeue(cycle).unwrap(), 1, "an ended cycle gives back what it set aside");
    assert_eq!((fresh(), registry.set_aside_among(&[id(1), id(2)]).unwrap().len()), (3, 0));
    registry.check().unwrap();
}

#[test]
fn domains_narrow_what_is_fresh() {
    let (_folder, registry) = open();
    add(&registry, "a", &[sample(1, false)]).unwrap();
    let count = |domain: &str| {
        let domains = [Domain::new(domain).unwrap()].into();
        registry.fresh(&[Kind::Messages], Some(&domains)).unwrap().count
    };
    assert_eq!((count("default"), count("tickets")), (1, 0));
}
