//! A candidate that passed the gate waits for a person: through restarts and kills, beside the daemon and without one.

use perennial_registry::CycleOutcome;
use perennial_tests::{Fixture, task};
use serde_json::Value;

use crate::{
    publish::publishing,
    support::{CYCLE_LIMIT, INTAKE_LIMIT, ingest, stored},
};

/// Exit codes of `cycle`: the candidate waits, and the gate's no.
const HELD: Option<i32> = Some(8);
const REJECTED: Option<i32> = Some(5);

fn holding() -> Fixture {
    publishing("").with(&["promotion.hold=true", "cycle.samples_min=50"])
}

fn held(status: &Value) -> Option<String> {
    Some(status["held"].as_object()?["adapter"].as_str()?.to_owned())
}

fn status(fixture: &Fixture) -> Value {
    let text = fixture.program.run(&["status", "--json"]).unwrap().success().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_candidate_waits_through_a_kill_and_goes_into_service_once_approved() {
    let fixture = holding();
    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    let asks = || Ok(held(&http.get("/v1/status")?.json()?));
    let candidate = daemon.wait_for("the candidate that waits", CYCLE_LIMIT, asks).unwrap();
    assert_eq!(fixture.published(), None, "nothing is in service");
    assert!(daemon.metrics().unwrap().sum("perennial_cycle_held_until_timestamp_seconds", &[]).unwrap() > 0.0);
    let report = fixture.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(report.contains("passed, and waits for a person's word"), "{report}");
    daemon.kill();

    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    // Rows are taken in, and begin nothing.
    let rows = task("zun_train").unwrap();
    let before = stored(&fixture.registry().unwrap()).unwrap();
    ingest(&fixture, "more.jsonl", &rows[..60]).unwrap();
    assert!(stored(&fixture.registry().unwrap()).unwrap() > before);
    assert_eq!(held(&daemon.status().unwrap()).as_ref(), Some(&candidate));
    assert_eq!(fixture.registry().unwrap().cycles(9).unwrap().len(), 1);

    fixture.program.run(&["approve", "--reason", "read its answers"]).unwrap().success().unwrap();
    let in_service = || Ok((http.get("/v1/status")?.json()?["champion"] == candidate.as_str()).then_some(()));
    daemon.wait_for("the champion", INTAKE_LIMIT, in_service).unwrap();
    daemon.wait_for("its link", INTAKE_LIMIT, || Ok(fixture.published().filter(|found| *found == candidate))).unwrap();
    let report = fixture.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(report.contains("was approved: read its answers"), "{report}");
    // Its samples are learned, and what came meanwhile begins the next cycle.
    daemon
        .wait_for("the next cycle", CYCLE_LIMIT, || Ok((fixture.registry()?.cycles(9)?.len() == 2).then_some(())))
        .unwrap();
}

#[test]
fn a_declined_candidate_is_rejected_by_name_and_its_samples_are_new_again() {
    let fixture = holding();
    assert_eq!(fixture.program.run(&["cycle"]).unwrap().code, HELD);
    let waiting = status(&fixture)["waiting"]["samples"].as_u64().unwrap();
    assert!(held(&status(&fixture)).is_some());
    // Asked again, it says the same and does nothing.
    assert_eq!(fixture.program.run(&["cycle"]).unwrap().code, HELD);
    fixture.program.run(&["decline", "--reason", "too blunt"]).unwrap().success().unwrap();
    let cycle = fixture.registry().unwrap().cycles(1).unwrap().remove(0);
    assert_eq!((cycle.outcome, fixture.published()), (Some(CycleOutcome::Rejected), None));
    let report = fixture.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(report.contains("it passed the gate and was declined: too blunt"), "{report}");
    let after = status(&fixture);
    assert_eq!((held(&after), after["waiting"]["samples"].as_u64()), (None, Some(waiting)));
    let refused = fixture.program.run(&["approve"]).unwrap().failure().unwrap();
    assert!(refused.contains("no candidate waits"), "{refused}");
}

#[test]
fn nobody_is_waited_for_beyond_the_time_for_it() {
    let fixture = holding().with(&["promotion.hold_seconds_max=1"]);
    assert_eq!(fixture.program.run(&["cycle"]).unwrap().code, HELD);
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(fixture.program.run(&["cycle"]).unwrap().code, REJECTED);
    let report = fixture.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(report.contains("nobody approved it within 1 s"), "{report}");
}

#[test]
fn a_candidate_whose_champion_is_gone_is_not_promoted_over_another() {
    let fixture = publishing("");
    fixture.program.run(&["cycle"]).unwrap().success().unwrap();
    ingest(&fixture, "more.jsonl", &task("zun_train").unwrap()[..100]).unwrap();
    let fixture = fixture.with(&["promotion.hold=true"]);
    assert_eq!(fixture.program.run(&["cycle"]).unwrap().code, HELD);
    fixture.program.run(&["rollback"]).unwrap().success().unwrap();
    assert_eq!(held(&status(&fixture)), None, "its comparison says nothing any more");
    let failed = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
    assert!(failed.contains("champion"), "{failed}");
    assert_eq!(fixture.published(), None);
}
