//! What comes in moves from what the champion learned, and that is told.

use std::time::Duration;

use perennial_tests::{Fixture, Metrics, task};

use crate::support::{cycle, ingest, promoted};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn another_mix_of_domains_is_told_in_the_status_and_by_a_metric() {
    let fixture = Fixture::new().unwrap().with(&[
        "train.epochs=1",
        "gate.require=\"not_worse\"",
        "gate.uncertain=\"allow\"",
        "gate.margin=1.0",
        "gate.margin_relative=0",
    ]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..100]).unwrap();
    let status = || fixture.program.run(&["status"]).unwrap().success().unwrap();
    assert!(!status().contains("\ndrift"), "there is no champion to compare with");
    assert!(promoted(&cycle(&fixture).unwrap()));
    assert!(!status().contains("\ndrift"), "nothing came in since");

    ingest(&fixture, "more.jsonl", &task("tickets_train").unwrap()[100..200]).unwrap();
    let score = |text: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with("drift")).unwrap().to_owned();
        line.split_whitespace().nth(2).unwrap().parse().unwrap()
    };
    assert!(score(&status()) < 0.1, "{}", status());
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..100]).unwrap();
    let moved = score(&status());
    assert!(moved > 0.25, "{}", status());

    let mut daemon = fixture.start().unwrap();
    let http = daemon.http;
    let exported = daemon.wait_for("a score", LIMIT, || {
        let metrics = Metrics::parse(&http.get("/metrics")?.body)?;
        Ok(metrics.sum("perennial_drift_score", &[("detector", "domain_mix")]).filter(|score| !score.is_nan()))
    });
    assert!((exported.unwrap() - moved).abs() < 1e-3);
}
