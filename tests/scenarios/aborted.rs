//! A cycle under way ends where somebody says so, and its samples wait for the next.

use std::time::Duration;

use perennial_registry::CycleOutcome;
use perennial_tests::{Daemon, Exit, Fixture, task};

use crate::{
    stuck::{fixture, last, refused, waiting},
    support::{CYCLE_LIMIT, await_cycle, ingest},
};

pub(crate) fn in_training(daemon: &mut Daemon) {
    let http = daemon.http;
    let trains = move || Ok(http.get("/v1/status")?.json()?["activity"]["step"].is_array().then_some(()));
    daemon.wait_for("training", CYCLE_LIMIT, trains).unwrap();
}

/// A cycle that trains for longer than any test lasts.
fn endless() -> Fixture {
    let fixture = fixture().with(&["train.epochs=20000"]);
    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..24]).unwrap();
    fixture
}

#[test]
fn a_cycle_is_aborted_over_http_and_by_the_command_line_while_it_trains() {
    let fixture = endless();
    let mut daemon = fixture.start().unwrap();
    daemon.http.post("/v1/cycles", "application/json", b"").unwrap().json().unwrap();
    in_training(&mut daemon);
    let answer = daemon.http.post("/v1/cycles/1/abort", "application/json", br#"{"reason": "wrong data"}"#).unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    let ended = await_cycle(&fixture, &mut daemon).unwrap();
    assert_eq!(ended.outcome, Some(CycleOutcome::Aborted { reason: "wrong data".to_owned() }));
    let again = daemon.http.post("/v1/cycles/1/abort", "application/json", b"").unwrap();
    assert_eq!(again.status, 409, "{}", again.body);
    assert_eq!(daemon.http.post("/v1/cycles/9/abort", "application/json", b"").unwrap().status, 404);

    daemon.http.post("/v1/cycles", "application/json", b"").unwrap().json().unwrap();
    in_training(&mut daemon);
    let said = fixture.program.run(&["cycle", "--abort", "--wait"]).unwrap().success().unwrap();
    assert!(said.contains("cycle 000002: aborted"), "{said}");
    let metrics = daemon.metrics().unwrap();
    assert_eq!(metrics.sum("perennial_cycle_runs_total", &[("outcome", "aborted")]), Some(2.0));
    assert_eq!(daemon.http.get("/ready").unwrap().status, 200);
    assert_eq!(daemon.stop(Duration::from_secs(30)).unwrap(), Exit::Code(0));
    assert_eq!(waiting(&fixture), 24, "its samples wait for the next");
}

#[test]
fn a_cycle_that_no_daemon_runs_is_aborted_by_the_command_line() {
    let fixture = endless();
    assert!(refused(&fixture.program, &["cycle", "--abort"]).contains("no cycle is under way"));
    let mut daemon = fixture.start().unwrap();
    daemon.http.post("/v1/cycles", "application/json", b"").unwrap().json().unwrap();
    in_training(&mut daemon);
    daemon.kill();
    let said = fixture.program.run(&["cycle", "--abort", "--reason", "not today"]).unwrap().success().unwrap();
    assert!(said.contains("cycle 000001 is aborted"), "{said}");
    assert_eq!(last(&fixture).outcome, Some(CycleOutcome::Aborted { reason: "not today".to_owned() }));
    assert_eq!(waiting(&fixture), 24);
}
