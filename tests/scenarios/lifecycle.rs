use std::{fs, time::Duration};

use anyhow::Result;
use perennial_tests::{Daemon, Exit, Fixture, Http, Metrics, Program, repository, task};

use crate::support::{CYCLE_LIMIT, INTAKE_LIMIT, await_cycle, ingest, lines, promoted, stored};

/// The default of `shutdown.stop_seconds`.
const STOP_LIMIT: Duration = Duration::from_secs(60);

#[test]
fn cycle_starts_by_itself_once_enough_samples_came() {
    let fixture = Fixture::new().unwrap().with(&["cycle.samples_min=100", "train.epochs=0.2"]);
    let mut daemon = fixture.start().unwrap();
    let rows = task("tickets_train").unwrap();
    fixture.drop_into_inbox("tickets.jsonl", lines(&rows[..200])).unwrap();
    let cycle = await_cycle(&fixture, &mut daemon).unwrap();
    assert!(cycle.candidate.is_some());
    assert_eq!(daemon.stop(STOP_LIMIT).unwrap(), Exit::Code(0));
}

#[test]
fn cycle_stopped_by_sigterm_goes_on_at_the_next_start() {
    let fixture = Fixture::new().unwrap().with(&["cycle.samples_min=100", "train.epochs=5"]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()).unwrap();
    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    daemon.wait_for("the tenth step", CYCLE_LIMIT, || Ok((step(http)? >= 10.0).then_some(()))).unwrap();
    assert_eq!(daemon.stop(STOP_LIMIT).unwrap(), Exit::Code(0));
    let open = fixture.registry().unwrap().open_cycle().unwrap().expect("the cycle is not over");
    assert!(open.candidate.is_none(), "it was stopped in training");

    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    daemon.wait_for("a step", CYCLE_LIMIT, || Ok((step(http)? >= 1.0).then_some(()))).unwrap();
    assert!(step(http).unwrap() >= 10.0, "training goes on from its checkpoint");
    let ended = await_cycle(&fixture, &mut daemon).unwrap();
    assert_eq!(ended.id, open.id);
    assert!(ended.candidate.is_some());
}

#[test]
fn second_signal_ends_the_daemon_at_once() {
    let fixture = Fixture::new().unwrap().with(&["cycle.samples_min=100", "train.epochs=5"]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()).unwrap();
    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    daemon.wait_for("a step", CYCLE_LIMIT, || Ok((step(http)? >= 1.0).then_some(()))).unwrap();
    daemon.signal("TERM").unwrap();
    daemon.signal("INT").unwrap();
    daemon.wait_exit(Duration::from_secs(5)).unwrap();
    fixture.registry().unwrap();
}

#[test]
fn sighup_reloads_what_can_be_reloaded_and_a_bad_file_changes_nothing() {
    let fixture = Fixture::new().unwrap();
    let example = fs::read_to_string(repository().join("config/examples/demo/tiny.toml")).unwrap();
    let example = example.replace("../../..", &repository().display().to_string());
    let waiting_for = |samples: &str| example.replace("samples_min = 400", &format!("samples_min = {samples}"));
    let (patient, eager) = (waiting_for("5000"), waiting_for("100"));
    assert_ne!(patient, example, "the example says otherwise now");
    let file = fixture.file("perennial.toml", &patient).unwrap();
    let program = Program::new(&file, fixture.state()).unwrap().with("train.epochs=0.2");
    let mut daemon = Daemon::start(&program).unwrap();
    let rows = task("tickets_train").unwrap();
    daemon.http.post("/v1/samples", "application/jsonl", lines(&rows).as_bytes()).unwrap().json().unwrap();

    fs::write(&file, patient.clone() + "\n[cicle]\nsamples_min = 1\n").unwrap();
    daemon.signal("HUP").unwrap();
    let log = |daemon: &Daemon| daemon.log().contains("cicle");
    let refused =
        perennial_tests::wait_until("a word on the bad file", INTAKE_LIMIT, || Ok(log(&daemon).then_some(())));
    refused.unwrap();
    assert_eq!(daemon.http.get("/ready").unwrap().status, 200);
    assert!(fixture.registry().unwrap().cycles(1).unwrap().is_empty());

    fs::write(&file, &eager).unwrap();
    daemon.signal("HUP").unwrap();
    await_cycle(&fixture, &mut daemon).unwrap();
}

#[test]
fn commands_go_through_the_running_daemon_and_work_without_it() {
    let fixture = Fixture::new().unwrap();
    let rows = task("tickets_train").unwrap();
    let daemon = fixture.start().unwrap();
    let nothing = fixture.program.run(&["cycle"]).unwrap();
    assert_eq!(nothing.code, Some(6), "{}", nothing.stderr);
    assert!(nothing.failure().unwrap().contains("no new samples wait"));
    assert_eq!(fixture.program.run(&["cycle", "--nonsense"]).unwrap().code, Some(2));
    ingest(&fixture, "with.jsonl", &rows[..40]).unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 40);
    let metrics = daemon.metrics().unwrap();
    assert_eq!(
        metrics.sum("perennial_ingest_rows_total", &[("outcome", "accepted")]),
        Some(40.0),
        "the daemon took them"
    );
    let with = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert_eq!(daemon.stop(STOP_LIMIT).unwrap(), Exit::Code(0));
    ingest(&fixture, "without.jsonl", &rows[40..50]).unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 50);
    let without = fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(!with.is_empty() && !without.is_empty());
}

#[test]
fn second_daemon_on_one_state_directory_is_refused() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let error = fixture.program.clone().with("http.listen=127.0.0.1:0").run(&["run"]).unwrap().failure().unwrap();
    assert!(error.contains(&fixture.state().display().to_string()), "says which state directory is taken: {error}");
    assert_eq!(daemon.http.get("/ready").unwrap().status, 200);
}

fn step(http: Http) -> Result<f64> {
    let metrics = Metrics::parse(&http.get("/metrics")?.body)?;
    Ok(metrics.sum("perennial_train_step", &[]).unwrap_or(0.0))
}

#[test]
fn a_stop_between_the_decision_and_its_publication_leaves_production_with_the_champion() {
    let fixture = Fixture::new().unwrap().with(&[
        "train.epochs=1",
        "gate.require=\"not_worse\"",
        "gate.uncertain=\"allow\"",
        "gate.margin=1.0",
        "gate.margin_relative=0",
    ]);
    ingest(&fixture, "rows.jsonl", &task("tickets_train").unwrap()[..100]).unwrap();
    // Long enough for the signal to come between.
    let program = fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", "cycle.decided=delay:3000");
    let mut daemon = Daemon::start(&program).unwrap();
    let http = daemon.http;
    http.post("/v1/cycles", "application/json", b"").unwrap();
    daemon
        .wait_for("the decision", CYCLE_LIMIT, || {
            let cycles: serde_json::Value = http.get("/v1/cycles")?.json()?;
            Ok((cycles[0]["phase"] == "decided").then_some(()))
        })
        .unwrap();
    assert_eq!(daemon.stop(CYCLE_LIMIT).unwrap(), Exit::Code(0));
    let registry = fixture.registry().unwrap();
    let cycle = registry.cycles(1).unwrap().remove(0);
    assert!(promoted(&cycle) && cycle.finished_ms.is_some(), "{cycle:?}");
    assert_eq!(fixture.published(), registry.champion().unwrap().map(|champion| champion.to_string()));
}
