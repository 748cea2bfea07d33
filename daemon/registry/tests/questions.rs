//! Which side of the split a question is on, and what is kept out of training.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use perennial_registry::{NewSample, Product, Registry};
use perennial_types::Kind;
use tempfile::TempDir;

fn asking(number: u64, question: &str, held_out: bool) -> NewSample {
    NewSample { question: fingerprint(question), ..sample(number, held_out) }
}

fn fresh(registry: &Registry) -> Vec<perennial_types::SampleId> {
    registry.fresh_samples(&Kind::ALL, None, 100).unwrap().iter().map(|record| record.id).collect()
}

#[test]
fn a_question_is_held_out_where_one_of_its_samples_is() {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
    add(&registry, "a", &[asking(1, "p", false), asking(2, "q", true), asking(3, "q", false)]).unwrap();
    let asked: BTreeSet<_> = ["p", "q", "unknown"].map(fingerprint).into();
    let expected = BTreeMap::from([(fingerprint("p"), false), (fingerprint("q"), true)]);
    assert_eq!(registry.sides_of_questions(&asked).unwrap(), expected);
    assert_eq!(registry.held_out_questions().unwrap(), [fingerprint("q")].into());
    assert!(registry.without_question(9).unwrap().is_empty());
}

#[test]
fn a_held_out_question_that_was_trained_on_is_named() {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
    let both = [asking(1, "q", true), asking(2, "q", false), asking(3, "p", true), asking(4, "r", false)];
    add(&registry, "a", &both).unwrap();
    assert!(registry.held_out_questions_trained_on().unwrap().is_empty());
    let cycle = registry.begin_cycle(&new_cycle(), 0).unwrap();
    record(&registry, cycle, Product::Collected).unwrap();
    record(&registry, cycle, Product::Mixed { mix: fingerprint("mix") }).unwrap();
    record(&registry, cycle, Product::Trained(&adapter("w", None))).unwrap();
    record(&registry, cycle, Product::Evaluated { suites: &suites() }).unwrap();
    record(&registry, cycle, Product::Decided(&decision("w", true, vec![id(2), id(4)]))).unwrap();
    assert_eq!(registry.held_out_questions_trained_on().unwrap(), [fingerprint("q")].into());
    assert_eq!(registry.cycle(cycle).unwrap().unwrap().candidate, Some(adapter_id("w")));
}

#[test]
fn what_is_kept_out_is_neither_fresh_nor_consumed_until_it_is_let_back() {
    let folder = TempDir::new().unwrap();
    let registry = Registry::open(&folder.path().join("perennial.db")).unwrap();
    add(&registry, "a", &[asking(1, "p", false), asking(2, "q", true), asking(3, "r", false)]).unwrap();
    let cycle = registry.begin_cycle(&new_cycle(), 0).unwrap();
    for _ in 0..2 {
        registry.keep_out(cycle, &[id(1), id(2)]).unwrap();
    }
    assert_eq!(fresh(&registry), [id(3)]);
    assert_eq!(registry.fresh(&Kind::ALL, None).unwrap().count, 1);
    let kept: Vec<_> = registry.kept_out(Some(cycle)).unwrap().iter().map(|record| record.id).collect();
    assert_eq!(kept, [id(1)], "the held-out one is apart anyhow");
    record(&registry, cycle, Product::Collected).unwrap();
    record(&registry, cycle, Product::Mixed { mix: fingerprint("mix") }).unwrap();
    record(&registry, cycle, Product::Trained(&adapter("w", None))).unwrap();
    record(&registry, cycle, Product::Evaluated { suites: &suites() }).unwrap();
    let learned = decision("w", true, vec![id(1)]);
    assert!(record(&registry, cycle, Product::Decided(&learned)).is_err());
    registry.let_back(&[id(1)]).unwrap();
    assert_eq!(fresh(&registry).len(), 2);
    assert!(registry.kept_out(None).unwrap().is_empty());
    registry.check().unwrap();
}

#[test]
fn questions_of_an_older_database_are_filled_in() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("perennial.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(include_str!("../src/migrations/001.sql")).unwrap();
    old.execute_batch(
        "INSERT INTO segments VALUES (1, 'segments/a.parquet', 'f', 1, 10, 0);
         INSERT INTO samples (id, segment, domain, kind, held_out, arrived_ms)
             VALUES (randomblob(32), 1, 'default', 'text', 1, 0);
         PRAGMA application_id = 1346720334; PRAGMA user_version = 1;",
    )
    .unwrap();
    drop(old);
    let registry = Registry::open(&path).unwrap();
    let old = registry.without_question(9).unwrap();
    assert_eq!((old.len(), old[0].question), (1, None));
    registry.note_questions(&BTreeMap::from([(old[0].id, fingerprint("q"))])).unwrap();
    assert!(registry.without_question(9).unwrap().is_empty());
    assert_eq!(registry.held_out_questions().unwrap(), [fingerprint("q")].into());
    registry.check().unwrap();
}
