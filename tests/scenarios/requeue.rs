//! What a refused candidate learned is not lost: it comes back, counted, until it is set aside.

use std::{fs, time::Duration};

use perennial_registry::{Cycle, CycleOutcome};
use perennial_tests::{Fixture, task};
use serde_json::Value;

use crate::support::{CYCLE_LIMIT, await_cycle, cycle, ingest, quarantine, report};

/// No suite: the gate refuses whatever comes, and every row counts.
const REFUSED: [&str; 4] = ["ingest.held_out_fraction=0", "gate.suite=[]", "train.epochs=1", "train.batch_size=8"];

/// Longer than a daemon takes to look around and begin what is due.
const LOOKS: Duration = Duration::from_secs(12);

fn fixture() -> Fixture {
    Fixture::new().unwrap().with(&REFUSED)
}

/// Samples that wait, and those of them that begin nothing by themselves.
fn waiting(fixture: &Fixture) -> (u64, u64) {
    let status = fixture.program.run(&["status", "--json"]).unwrap().success().unwrap();
    let waiting = serde_json::from_str::<Value>(&status).unwrap()["waiting"].clone();
    (waiting["samples"].as_u64().unwrap(), waiting["refused"].as_u64().unwrap())
}

fn told(fixture: &Fixture, cycle: &Cycle, what: &str) {
    let notes = report(fixture, cycle).unwrap()["notes"].to_string();
    assert!(notes.contains(what), "{what}: {notes}");
}

fn refused(fixture: &Fixture) -> Cycle {
    let cycle = cycle(fixture).unwrap();
    assert_eq!(cycle.outcome, Some(CycleOutcome::Rejected));
    cycle
}

#[test]
fn refused_rows_come_back_twice_and_are_then_set_aside_with_the_verdict() {
    let fixture = fixture();
    let rows = task("zun_train").unwrap();
    ingest(&fixture, "first.jsonl", &rows[..24]).unwrap();
    told(&fixture, &refused(&fixture), "24 new samples of this cycle are new again");
    assert_eq!(waiting(&fixture), (24, 24));
    let status = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(status.contains("24 of them taught what the gate refused"), "{status}");

    ingest(&fixture, "more.jsonl", &rows[24..32]).unwrap();
    assert_eq!(waiting(&fixture), (32, 24), "what is new may begin a cycle, and takes the others along");
    told(&fixture, &refused(&fixture), "32 new samples of this cycle are new again");
    let third = refused(&fixture);
    told(&fixture, &third, "8 new samples of this cycle are new again");
    told(&fixture, &third, "24 new samples of this cycle are set aside");
    assert_eq!(waiting(&fixture), (8, 8));

    let lines = quarantine(&fixture).unwrap();
    assert_eq!(lines.len(), 24);
    let reason = lines[0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("learned 3 times by candidates that the gate refused"), "{reason}");
    assert!(reason.contains("cycle 000003: no suite was measured"), "{reason}");
    assert_eq!(fixture.registry().unwrap().set_aside_count().unwrap(), 24);
    fixture.program.run(&["quarantine", "requeue", "--all"]).unwrap().success().unwrap();
    assert_eq!(waiting(&fixture), (32, 8), "they may be tried again as if they never had been");
    assert_eq!(fixture.registry().unwrap().set_aside_count().unwrap(), 0);
    let said = fixture.program.run(&["requeue", "3"]).unwrap().success().unwrap();
    assert!(said.contains("8 samples"), "{said}");
    assert_eq!(waiting(&fixture), (32, 0));
}

#[test]
fn rows_that_no_step_came_to_are_new_still_and_count_no_try() {
    let fixture = fixture().with(&["train.steps_max=1"]);
    ingest(&fixture, "rows.jsonl", &task("zun_train").unwrap()[..24]).unwrap();
    let first = refused(&fixture);
    told(&fixture, &first, "16 of 24 new samples were in no step of training");
    assert_eq!(waiting(&fixture), (24, 8));

    // Somebody puts the candidate in service: it has learned its eight rows, and those alone are replayed.
    let candidate = first.candidate.clone().unwrap();
    fixture.program.run(&["promote", "--force", candidate.as_str()]).unwrap().success().unwrap();
    assert_eq!(waiting(&fixture), (16, 0));
    assert_eq!(fixture.registry().unwrap().replayable().unwrap().len(), 8);
    fixture.program.run(&["rollback"]).unwrap().success().unwrap();
    let said = fixture.program.run(&["requeue", "1"]).unwrap().success().unwrap();
    assert!(said.contains("8 samples"), "{said}");
    assert_eq!(waiting(&fixture), (24, 0));
}

#[test]
fn the_same_rows_begin_no_second_cycle_by_themselves_until_something_changes() {
    let fixture = fixture().with(&["cycle.samples_min=20", "cycle.age_samples_min=20"]);
    let rows = task("zun_train").unwrap();
    ingest(&fixture, "first.jsonl", &rows[..24]).unwrap();
    let mut daemon = fixture.start().unwrap();
    let first = await_cycle(&fixture, &mut daemon).unwrap();
    assert_eq!(first.outcome, Some(CycleOutcome::Rejected));
    std::thread::sleep(LOOKS);
    assert_eq!(fixture.registry().unwrap().cycles(9).unwrap().len(), 1, "another try would be the same");

    // New rows take the refused ones along.
    let http = daemon.http;
    http.post("/v1/samples", "application/x-ndjson", rows[24..48].join("\n").as_bytes()).unwrap();
    let mut ended = |id: u64| {
        daemon.wait_for("the end of the next cycle", CYCLE_LIMIT, || {
            let last = fixture.registry()?.cycles(1)?.remove(0);
            Ok((last.id.0 == id && last.finished_ms.is_some()).then_some(last))
        })
    };
    let second = ended(2).unwrap();
    told(&fixture, &second, "48 new samples of this cycle");
    daemon.stop(Duration::from_secs(60)).unwrap();

    // So does another configuration.
    let other = fixture.with(&["train.learning_rate=1e-3"]);
    let mut daemon = other.start().unwrap();
    daemon
        .wait_for("a third cycle", CYCLE_LIMIT, || {
            let last = other.registry()?.cycles(1)?.remove(0);
            Ok((last.id.0 == 3 && last.finished_ms.is_some()).then_some(()))
        })
        .unwrap();
}

#[test]
fn another_golden_suite_is_another_try_and_the_same_in_another_spelling_is_none() {
    let fixture = fixture();
    let item = |answer: &str| format!("{{\"prompt\": \"Who owns locker 1?\", \"completion\": \"{answer}\"}}\n");
    let file = fixture.file("golden.jsonl", item("Ann")).unwrap();
    let suite =
        format!("gate.suite=[{{ name = \"lockers\", file = {file:?}, metric = \"exact_match\", target = true }}]");
    let fixture = fixture.with(&[&suite]);
    ingest(&fixture, "first.jsonl", &task("zun_train").unwrap()[..24]).unwrap();
    refused(&fixture);
    assert_eq!(waiting(&fixture), (24, 24));
    fs::write(&file, "\n".to_owned() + &item("Ann")).unwrap();
    assert_eq!(waiting(&fixture), (24, 24), "it asks the same");
    fs::write(&file, item("Bob")).unwrap();
    assert_eq!(waiting(&fixture), (24, 0), "what was refused may pass now");
    fs::remove_file(&file).unwrap();
    assert_eq!(waiting(&fixture), (24, 24), "nothing can be begun without it");
}

#[test]
fn a_kill_between_setting_aside_and_deciding_charges_once() {
    let fixture = fixture().with(&["cycle.requeue_max=1"]);
    ingest(&fixture, "rows.jsonl", &task("zun_train").unwrap()[..16]).unwrap();
    refused(&fixture);
    for failpoint in ["cycle.deciding=kill", "cycle.decided=kill"] {
        let killed = fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", failpoint);
        let end = killed.run(&["cycle"]).unwrap();
        assert_eq!(end.code, None, "{failpoint}: {}", end.stderr);
        let tried = fixture.registry().unwrap().set_aside_count().unwrap();
        let decided = fixture.registry().unwrap().open_cycle().unwrap().is_none();
        assert_eq!(tried, if decided { 16 } else { 0 }, "{failpoint}");
    }
    let last = fixture.registry().unwrap().cycles(1).unwrap().remove(0);
    assert_eq!((last.id.0, last.outcome), (2, Some(CycleOutcome::Rejected)));
    let aside = fixture.registry().unwrap().set_aside_samples(None, 99).unwrap();
    let ids: Vec<_> = aside.iter().map(|record| record.id).collect();
    let tries = fixture.registry().unwrap().tries(&ids).unwrap();
    assert!(tries.len() == 16 && tries.values().all(|tries| tries.all == 2), "{tries:?}");
    assert_eq!(quarantine(&fixture).unwrap().len(), 16, "each stands there once");
}
