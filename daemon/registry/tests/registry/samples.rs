//! Samples, and the files that they came in.

use std::collections::BTreeSet;

use perennial_registry::{DomainCounts, Product, RegistryError, Source};
use perennial_types::{Domain, Kind};
use rstest::rstest;

use crate::{common::*, cycle, evaluated, open};

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
