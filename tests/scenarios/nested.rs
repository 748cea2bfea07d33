//! Two time scales: every second promoted cycle is consolidated with the slow adapter, which follows from the champion's line alone
//! through refusals, restarts and rollbacks.

use std::fs;

use perennial_registry::Cycle;
use perennial_tests::{Fixture, task};
use serde_json::Value;

use crate::support::{cycle, ingest, promoted, report};

const NESTED: [&str; 5] = [
    "train.epochs=1",
    "train.steps_max=8",
    "replay.base_answers.ratio=0.0",
    "train.slow.every_cycles=2",
    "train.slow.alpha=0.6",
];

fn notes(fixture: &Fixture, cycle: &Cycle) -> String {
    report(fixture, cycle).unwrap()["notes"].to_string()
}

fn serve(fixture: &Fixture, cycle: &Cycle) {
    if !promoted(cycle) {
        let candidate = cycle.candidate.as_ref().unwrap();
        fixture.program.run(&["promote", "--force", candidate.as_str()]).unwrap().success().unwrap();
    }
}

/// What the manifest of a cycle says of its consolidation.
fn consolidation(fixture: &Fixture, cycle: &Cycle) -> Value {
    let path = fixture.state().join("cycles").join(cycle.id.to_string()).join("manifest.json");
    let manifest: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    manifest["consolidation"].clone()
}

#[test]
fn every_second_promoted_cycle_is_consolidated_with_the_slow_adapter() {
    let fixture = Fixture::new().unwrap().with(&NESTED);
    let rows = task("general_train").unwrap();
    ingest(&fixture, "first.jsonl", &rows[..50]).unwrap();
    let first = cycle(&fixture).unwrap();
    let told = notes(&fixture, &first);
    assert!(told.contains("0 of 2 cycles were promoted since the slow adapter, which is the base model"), "{told}");
    assert_eq!(consolidation(&fixture, &first), Value::Null);
    serve(&fixture, &first);

    // Hardly anything is learned, so that the candidate is little more than 0.6 of the champion.
    ingest(&fixture, "second.jsonl", &rows[50..100]).unwrap();
    let fixture = fixture.with(&["train.learning_rate=1e-7"]);
    let refused = cycle(&fixture).unwrap();
    assert!(!promoted(&refused));
    let told = notes(&fixture, &refused);
    assert!(told.contains("it is 0.6 of the way from the base model to what was trained"), "{told}");
    assert_eq!(consolidation(&fixture, &refused)["alpha"], 0.6);

    // The rows that were refused come back, and are not held up by the same.
    let fixture = fixture.with(&["train.learning_rate=1e-3"]);
    let third = cycle(&fixture).unwrap();
    let told = notes(&fixture, &third);
    assert!(told.contains("the gate refused that in cycle 000002 at this champion"), "{told}");
    assert_eq!(consolidation(&fixture, &third), Value::Null);
    serve(&fixture, &third);

    ingest(&fixture, "fourth.jsonl", &rows[100..150]).unwrap();
    let fourth = cycle(&fixture).unwrap();
    assert_eq!(consolidation(&fixture, &fourth)["slow"], Value::Null);
    assert!(notes(&fixture, &fourth).contains("from the base model to what was trained"));
    serve(&fixture, &fourth);
    let slow = fourth.candidate.clone().unwrap();

    ingest(&fixture, "fifth.jsonl", &rows[150..200]).unwrap();
    let fifth = cycle(&fixture).unwrap();
    let told = notes(&fixture, &fifth);
    assert!(told.contains(&format!("0 of 2 cycles were promoted since the slow adapter, which is {slow}")), "{told}");
    serve(&fixture, &fifth);

    ingest(&fixture, "sixth.jsonl", &task("tickets_train").unwrap()[..50]).unwrap();
    let sixth = cycle(&fixture).unwrap();
    assert_eq!(consolidation(&fixture, &sixth)["slow"], slow.as_str());
    let told = notes(&fixture, &sixth);
    assert!(told.contains(&format!("it is 0.6 of the way from the slow adapter {slow}")), "{told}");
    let (folder, adapters) =
        (fixture.state().join("cycles").join(sixth.id.to_string()), fixture.state().join("adapters"));
    let weights = |at: std::path::PathBuf| fs::read(at.join("adapter_model.safetensors")).unwrap();
    assert!(weights(folder.join("slow").join(slow.as_str())) == weights(adapters.join(slow.as_str())));

    // The stage is a function of its folder, the slow adapter included.
    for left in ["candidate", "checkpoints"] {
        let _ = fs::remove_dir_all(folder.join(left));
    }
    fixture.program.run(&["train".as_ref(), "--cycle".as_ref(), folder.as_os_str()]).unwrap().success().unwrap();
    let candidate = sixth.candidate.as_ref().unwrap();
    assert!(weights(folder.join("candidate")) == weights(adapters.join(candidate.as_str())));

    // Back behind the one that was consolidated, the slow one is the one before it again.
    fixture.program.run(&["rollback", "--to", third.candidate.as_ref().unwrap().as_str()]).unwrap().success().unwrap();
    ingest(&fixture, "seventh.jsonl", &task("tickets_train").unwrap()[50..100]).unwrap();
    let seventh = cycle(&fixture).unwrap();
    let told = notes(&fixture, &seventh);
    assert!(told.contains("train.slow") && told.contains("the base model") && !told.contains(slow.as_str()), "{told}");
}
