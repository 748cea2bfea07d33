//! A registry of the program before tries were counted: what it holds stays, and its cycle under way goes on.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[allow(dead_code, reason = "what other tests share")]
mod common;

use std::path::Path;

use common::{adapter_id, decision, fingerprint, id, record, suites};
use perennial_registry::{CycleOutcome, Product, Registry, Tries};
use perennial_types::{CycleId, Kind, SampleId};
use tempfile::TempDir;

const MIGRATIONS: [&str; 5] = [
    include_str!("../src/migrations/001.sql"),
    include_str!("../src/migrations/002.sql"),
    include_str!("../src/migrations/003.sql"),
    include_str!("../src/migrations/004.sql"),
    include_str!("../src/migrations/005.sql"),
];

/// Cycle 1 was promoted and learned sample 1, cycle 2 was rejected, consumed sample 2 and set sample 3 aside, and cycle 3 is
/// evaluated. Samples 4 and 5 are fresh.
fn write_older(path: &Path) {
    let old = rusqlite::Connection::open(path).unwrap();
    MIGRATIONS.iter().for_each(|step| old.execute_batch(step).unwrap());
    let suites = serde_json::to_string(&suites()).unwrap();
    let (base, mix) = (fingerprint("base"), fingerprint("mix"));
    let mut sql = format!("INSERT INTO segments VALUES (1, 'segments/a.parquet', '{base}', 5, 10, 0);");
    let cycles = [
        ("one", "champion", 5, Some("promoted")),
        ("two", "rejected", 4, Some("rejected")),
        ("three", "candidate", 3, None),
    ];
    let champion = |cycle: usize| if cycle == 1 { "NULL".to_owned() } else { format!("'{}'", adapter_id("one")) };
    for (cycle, (weights, state, last, outcome)) in (1..).zip(cycles) {
        let (adapter, files, champion) = (adapter_id(weights), fingerprint(weights), champion(cycle));
        let ended = outcome.map_or("NULL, NULL".to_owned(), |outcome| format!("'{outcome}', 9"));
        sql += &format!(
            "INSERT INTO adapters VALUES ('{adapter}', '{files}', '{state}', 0);
             INSERT INTO cycles (id, reason, config, seed, champion, mix, suites, started_ms, outcome, finished_ms)
                 VALUES ({cycle}, 'test', '{{}}', 1, {champion}, '{mix}', '{suites}', 0, {ended});
             INSERT INTO candidates VALUES ({cycle}, '{adapter}', {champion}, '{base}', '{mix}', '{{}}', 1, '0');"
        );
        for phase in 0..=last {
            sql += &format!("INSERT INTO phases VALUES ({cycle}, {phase}, '{{}}', 0);");
        }
        if let Some(outcome) = outcome {
            let passed = u8::from(outcome == "promoted");
            sql += &format!(
                "INSERT INTO decisions VALUES ({cycle}, {passed}, '{files}', '{base}', '{mix}', '{suites}', '[]');"
            );
        }
    }
    for (number, cycle) in [(1, "1"), (2, "2"), (3, "NULL"), (4, "NULL"), (5, "NULL")] {
        let (id, question) = (id(number).0, fingerprint(&format!("question {number}")));
        sql += &format!(
            "INSERT INTO samples (id, segment, domain, kind, held_out, arrived_ms, cycle, question)
                 VALUES (X'{id}', 1, 'default', 'messages', 0, {number}, {cycle}, X'{question}');"
        );
    }
    let (champion, aside) = (adapter_id("one"), id(3).0);
    sql += &format!(
        "INSERT INTO set_aside VALUES (X'{aside}', 2, 'too long', 9);
         INSERT INTO promotions (at_ms, to_adapter, reason, cycle) VALUES (9, '{champion}', 'passed', 1);
         UPDATE champion SET adapter = '{champion}';
         PRAGMA application_id = 1346720334; PRAGMA user_version = 5;"
    );
    old.execute_batch(&sql).unwrap();
}

fn fresh(registry: &Registry) -> Vec<SampleId> {
    registry.fresh_samples(&Kind::ALL, None, 99).unwrap().iter().map(|record| record.id).collect()
}

#[test]
fn a_registry_of_before_tries_were_counted_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("perennial.db");
    write_older(&path);
    let registry = Registry::open(&path).unwrap();
    registry.check().unwrap();
    assert_eq!(registry.champion().unwrap(), Some(adapter_id("one")));
    assert_eq!((registry.pinned().unwrap(), registry.suite_metrics().unwrap().len()), (None, 0));
    assert_eq!(fresh(&registry), [id(4), id(5)]);
    assert_eq!(registry.last_refused().unwrap(), Some(CycleId(2)));

    // What its refused cycle consumed comes back as it always did.
    assert_eq!(registry.requeue(CycleId(2)).unwrap(), 2);
    assert_eq!(fresh(&registry), [id(2), id(3), id(4), id(5)]);
    assert!(registry.tries(&[id(2), id(3)]).unwrap().is_empty());

    record(&registry, CycleId(3), Product::Decided(&decision("three", false, vec![id(4)]))).unwrap();
    assert_eq!(registry.cycle(CycleId(3)).unwrap().unwrap().outcome, Some(CycleOutcome::Rejected));
    assert_eq!(fresh(&registry), [id(2), id(3), id(5), id(4)]);
    assert_eq!(registry.tries(&[id(4)]).unwrap()[&id(4)], Tries { all: 1, since: 1 });
    assert_eq!(registry.replayable().unwrap().iter().map(|record| record.id).collect::<Vec<_>>(), [id(1)]);
    registry.pin(Some(&adapter_id("one")), "as good as it was", 10).unwrap();
    registry.fix_suite_metric("auto:default", "token_f1", CycleId(3)).unwrap();
    drop(registry);
    let registry = Registry::open(&path).unwrap();
    assert_eq!(registry.pinned().unwrap().and_then(|pin| pin.adapter), Some(adapter_id("one")));
    assert_eq!(registry.suite_metrics().unwrap()["auto:default"], "token_f1");
    registry.check().unwrap();
}
