//! What comes in moves from what the champion learned, and that is told; and a cycle may begin by it.

use std::{fs, time::Duration};

use anyhow::Result;
use perennial_registry::Cycle;
use perennial_tests::{Daemon, Fixture, Metrics, task};
use serde_json::Value;

use crate::support::{CYCLE_LIMIT, cycle, ingest, lines, promoted};

const LIMIT: Duration = Duration::from_secs(60);

/// Whose gate lets everything pass, with a champion that learned tickets.
fn champion_of_tickets(settings: &[&str]) -> Fixture {
    let gate = [
        "train.epochs=1",
        "gate.require=\"not_worse\"",
        "gate.uncertain=\"allow\"",
        "gate.margin=1.0",
        "gate.margin_relative=0",
    ];
    let fixture = Fixture::new().unwrap().with(&[&gate, settings].concat());
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..100]).unwrap();
    assert!(promoted(&cycle(&fixture).unwrap()));
    fixture
}

fn scores(drift: &Value, detector: &str) -> Vec<Value> {
    let scores = drift["scores"].as_array().cloned().unwrap_or_default();
    scores.into_iter().filter(|score| score["detector"] == detector && !score["score"].is_null()).collect()
}

#[test]
fn another_mix_of_domains_is_told_and_more_of_the_same_is_not() {
    let fixture = champion_of_tickets(&[]);
    let status = || fixture.program.run(&["status"]).unwrap().success().unwrap();
    let drift = || -> Value {
        serde_json::from_str(&fixture.program.run(&["drift", "--json"]).unwrap().success().unwrap()).unwrap()
    };
    assert!(!status().contains("\ndrift"), "nothing was measured yet");
    assert!(scores(&drift(), "domain_mix").is_empty(), "nothing came in since");

    ingest(&fixture, "more.jsonl", &task("tickets_train").unwrap()[100..200]).unwrap();
    let same = drift();
    assert!(scores(&same, "domain_mix")[0]["score"].as_f64().unwrap() < 0.1, "{same}");
    for detector in ["domain_mix", "length", "token_frequency", "embedding_mmd", "embedding_centroid", "new_domain"] {
        assert_eq!(scores(&same, detector).len(), 1, "{detector}: {same}");
        assert_eq!(scores(&same, detector)[0]["drifted"], false, "{detector}: {same}");
    }
    assert!(status().contains("drift       0 of "), "{}", status());
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..100]).unwrap();
    let moved = drift();
    for detector in ["domain_mix", "new_domain"] {
        assert_eq!(scores(&moved, detector)[0]["drifted"], true, "{detector}: {moved}");
    }
    assert_eq!(scores(&moved, "length")[0]["drifted"], false, "tickets are as before: {moved}");
    assert!(status().contains("            domain_mix "), "{}", status());
}

#[test]
fn drift_begins_a_cycle_whose_report_says_that_it_is_gone() {
    let fixture = champion_of_tickets(&["drift.interval_seconds=1", "cycle.samples_min=4000", "trigger.drift=true"]);
    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    let exported = |name: &str, labels: &[(&str, &str)]| -> Result<Option<f64>> {
        Ok(Metrics::parse(&http.get("/metrics")?.body)?.sum(name, labels).filter(|value| !value.is_nan()))
    };
    let kl =
        daemon.wait_for("the champion's figures", LIMIT, || exported("perennial_policy_kl_nats", &[("from", "base")]));
    assert!(kl.unwrap() > 0.0);
    let distinct = exported("perennial_policy_distinct_ratio", &[("n", "2")]).unwrap().unwrap();
    assert!(distinct > 0.0 && distinct <= 1.0, "{distinct}");

    let rows = lines(&task("general_train").unwrap()[..100]);
    let taken = http.post("/v1/samples?source=general.jsonl", "application/x-ndjson", rows.as_bytes()).unwrap();
    assert!(taken.is_success());
    let drifted = [("detector", "domain_mix"), ("domain", "")];
    daemon
        .wait_for("a drifted mix of domains", LIMIT, || {
            Ok(exported("perennial_drift_drifted", &drifted)?.filter(|drifted| *drifted > 0.0))
        })
        .unwrap();
    assert!(http.get("/v1/drift").unwrap().json().unwrap()["measured_ms"].is_i64());
    let ended = await_reason(&fixture, &mut daemon, "drift");
    assert!(promoted(&ended));
    let report = fixture.state().join("cycles").join(ended.id.to_string()).join("report.md");
    let report = fs::read_to_string(report).unwrap();
    assert!(report.contains("Drift began this cycle: domain_mix ("), "{report}");
    assert!(report.contains("domain_mix is gone ("), "{report}");
    // What is in service is measured anew.
    daemon
        .wait_for("no drift", LIMIT, || {
            Ok(exported("perennial_drift_drifted", &drifted)?.filter(|drifted| *drifted == 0.0))
        })
        .unwrap();
}

/// Waits for the end of a cycle that was begun for this reason.
fn await_reason(fixture: &Fixture, daemon: &mut Daemon, reason: &str) -> Cycle {
    let found = daemon.wait_for("the end of the cycle", CYCLE_LIMIT, || {
        let last = fixture.registry()?.cycles(1)?.into_iter().next();
        Ok(last.filter(|cycle| cycle.reason == reason && cycle.finished_ms.is_some()))
    });
    found.unwrap()
}
