use perennial_tests::{Fixture, repository, task};
use serde_json::Value;

use crate::support::{await_cycle, lines, stored};

#[test]
fn rows_sent_over_http_are_stored_when_the_answer_comes() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let rows = task("tickets_train").unwrap();
    let body = lines(&rows[..30]) + "{broken\n";
    let answer = daemon.http.post("/v1/samples", "application/jsonl", body.as_bytes()).unwrap().json().unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 30);
    assert_eq!((&answer["accepted"], &answer["rejected"], &answer["duplicates"]), (&30.into(), &1.into(), &0.into()));
    assert_eq!(answer["rejections"][0]["line"], 31, "{answer}");
    let again = daemon.http.post("/v1/samples", "application/jsonl", lines(&rows[..31]).as_bytes()).unwrap();
    let again = again.json().unwrap();
    assert_eq!((&again["accepted"], &again["duplicates"]), (&1.into(), &30.into()));
}

#[test]
fn a_request_of_which_nothing_is_taken_is_no_success_and_one_that_is_sent_again_is() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let post = |body: &str| daemon.http.post("/v1/samples", "application/jsonl", body.as_bytes()).unwrap();
    let answer = post("{broken\n{\"question\": \"q\"}\n");
    assert_eq!(answer.status, 422, "{}", answer.body);
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(problem["code"], "nothing_taken");
    assert!(problem["detail"].as_str().unwrap().starts_with("all 2 rows were refused; line 1: "), "{problem}");
    let report = &problem["report"];
    assert_eq!((&report["accepted"], &report["rejected"]), (&0.into(), &2.into()));
    assert_eq!(report["rejections"][1]["line"], 2);
    assert!(report["quarantine"].is_string(), "{report}");

    let good = r#"{"prompt": "a", "completion": "b"}"#;
    assert_eq!(post(good).status, 200);
    let again = post(&format!("{good}\n{{broken\n"));
    assert_eq!((again.status, &again.json().unwrap()["duplicates"]), (200, &1.into()), "what is known is taken");
    assert_eq!(post("").status, 200, "where there are no rows none is missing");
}

#[test]
fn body_over_the_limit_is_refused_and_nothing_of_it_is_stored() {
    let fixture = Fixture::new().unwrap().with(&["http.body_bytes_max=4096"]);
    let daemon = fixture.start().unwrap();
    let body: String = lines(&task("tickets_train").unwrap()).chars().take(5000).collect();
    let answer = daemon.http.post("/v1/samples", "application/jsonl", body.as_bytes()).unwrap();
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 0);
}

#[test]
fn every_page_answers() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    for path in ["/live", "/ready", "/metrics", "/v1/status", "/v1/adapters", "/v1/cycles"] {
        let answer = daemon.http.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert!(!path.starts_with("/v1/") || answer.json().is_ok(), "{path}: {}", answer.body);
    }
    assert_eq!(daemon.http.get("/v1/nothing").unwrap().status, 404);
    assert_eq!(daemon.http.get("/v1/cycles/9").unwrap().status, 404);
    let unreadable = daemon.http.post("/v1/samples", "application/jsonl", b"\x00\x01\x02\x03 binary \xff\xfe").unwrap();
    assert!((400..500).contains(&unreadable.status), "{}: {}", unreadable.status, unreadable.body);
}

#[test]
fn metrics_start_at_zero() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let metrics = daemon.metrics().unwrap();
    for (name, label, values) in [
        ("perennial_ingest_rows_total", "outcome", &["accepted", "duplicate", "rejected"][..]),
        ("perennial_ingest_files_total", "outcome", &["taken", "quarantined", "failed"]),
        ("perennial_cycle_phase", "phase", &["collect", "mix", "train", "evaluate", "decide", "publish"]),
        ("perennial_cycle_runs_total", "outcome", &["promoted", "rejected", "stopped", "failed"]),
        ("perennial_gate_decisions_total", "decision", &["promote", "reject", "forced", "roll_back"]),
    ] {
        for value in values {
            assert_eq!(metrics.sum(name, &[(label, value)]), Some(0.0), "{name}{{{label}={value:?}}}");
        }
    }
    assert_eq!(metrics.sum("perennial_build_info", &[]), Some(1.0));
    assert!(metrics.sum("process_resident_memory_bytes", &[]).is_some_and(|bytes| bytes > 0.0));
}

/// Each answer is held against the reference as it comes: here are those that few other scenarios ask for.
#[test]
fn every_route_answers_as_the_reference_says() {
    let fixture = Fixture::new().unwrap().with(&["train.steps_max=2", "train.epochs=1.0"]);
    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    let rows = task("tickets_train").unwrap();
    let post = |path: &str, body: &str| http.post(path, "application/json", body.as_bytes()).unwrap();
    let sent = http.post("/v1/samples", "application/jsonl", (lines(&rows[..40]) + "{broken\n").as_bytes()).unwrap();
    assert_eq!(sent.status, 200);
    assert_eq!(post("/v1/cycles", "{}").status, 202);
    let cycle = await_cycle(&fixture, &mut daemon).unwrap();
    let candidate = cycle.candidate.unwrap();
    let file = http.get("/v1/quarantine").unwrap().json().unwrap()["rows"][0]["name"].as_str().unwrap().to_owned();
    for path in [
        "/ready",
        "/ready/training",
        "/v1/status",
        "/v1/adapters",
        &format!("/v1/adapters/{candidate}"),
        "/v1/cycles",
        "/v1/cycles/1",
        "/v1/cycles/1/gate",
        &format!("/v1/quarantine/{file}"),
    ] {
        let answer = http.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    assert_eq!(post(&format!("/v1/quarantine/{file}/requeue"), "").status, 200);
    assert_eq!(post("/v1/quarantine/files/nothing/requeue", "").status, 404);
    assert_eq!(post(&format!("/v1/adapters/{candidate}/promote"), r#"{"reason": "by hand"}"#).status, 200);
    assert_eq!(post("/v1/rollback", "{}").status, 200);
    assert_eq!(post("/v1/cycles/1/requeue", "").status, 200);
    assert_eq!(post("/v1/cycles/1/abort", "").status, 409);

    let served = http.get("/v1/openapi.json").unwrap().json().unwrap();
    let committed = std::fs::read_to_string(repository().join("docs/openapi.json")).unwrap();
    assert_eq!(served, serde_json::from_str::<Value>(&committed).unwrap());
    let printed = fixture.program.run(&["openapi"]).unwrap().success().unwrap();
    assert_eq!(printed.trim_end(), committed.trim_end());
}
