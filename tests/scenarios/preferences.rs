//! Preferences: what learns from them, and what is said of stages whose keys make no sense.

use std::fs;

use perennial_registry::CycleOutcome;
use perennial_tests::{Daemon, Fixture, Metrics, repository, task};
use serde_json::{Value, json};

use crate::support::{INTAKE_LIMIT, cycle, ingest, lines};

/// Tickets with the right answer and that of another ticket; the prompt is given in every other row.
fn pairs() -> Vec<String> {
    let rows: Vec<Value> =
        task("tickets_train").unwrap().iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let others = rows.iter().cycle().skip(7);
    let pair = |(at, (row, other)): (usize, (&Value, &Value))| {
        let (question, right, wrong) = (&row["messages"][0], &row["messages"][1], &other["messages"][1]);
        match at % 2 {
            0 => json!({"domain": "tickets", "chosen": [question, right], "rejected": [question, wrong]}),
            _ => json!({"domain": "tickets", "prompt": [question], "chosen": [right], "rejected": [wrong]}),
        }
    };
    rows.iter().zip(others).enumerate().take(60).map(pair).map(|row| row.to_string()).collect()
}

#[test]
fn preferences_wait_until_an_objective_learns_from_them() {
    let fixture = Fixture::new().unwrap();
    ingest(&fixture, "pairs.jsonl", &pairs()).unwrap();
    let said = fixture.program.run(&["cycle"]).unwrap();
    assert_eq!(said.code, Some(6));
    let said = said.failure().unwrap();
    assert!(said.contains("objective = \"dpo\""), "says what would learn from them: {said}");
    assert!(said.contains("no new samples"), "supervised fine-tuning has nothing to learn from them: {said}");

    for settings in [
        &[r#"train.objectives=["dpo"]"#][..],
        &[
            r#"train.stage=[{ objective = "sft", steps_max = 2 }, { objective = "dpo", beta = 0.2, batch_size = 4 }]"#,
            // Those of the fixture, which nothing would look at.
            "train.learning_rate=2e-4",
            "train.epochs=1.0",
        ],
    ] {
        let learning = Fixture::new().unwrap().with(settings);
        ingest(&learning, "pairs.jsonl", &pairs()).unwrap();
        let ended = cycle(&learning).unwrap();
        assert!(matches!(ended.outcome, Some(CycleOutcome::Promoted | CycleOutcome::Rejected)), "{ended:?}");
        let folder = learning.state().join("cycles").join(ended.id.to_string());
        let manifest: Value = serde_json::from_str(&fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
        let stages = manifest["stages"].as_array().unwrap();
        let last = &stages[stages.len() - 1];
        assert_eq!((last["objective"].as_str(), last["learning_rate"].as_f64()), (Some("dpo"), Some(1e-5)));
        assert!(folder.join("report.md").is_file());
    }
}

/// The one entry for rows that nothing trains on, as the kind, how many, and the key that would.
fn untrained(of: &Value) -> Option<(&str, u64, &str)> {
    let found = of["untrained"].as_array().unwrap();
    assert!(found.len() <= 1, "{of}");
    let found = found.first()?;
    Some((found["kind"].as_str()?, found["samples"].as_u64()?, found["key"].as_str()?))
}

#[test]
fn rows_that_nothing_trains_on_are_counted_as_such_until_a_stage_does() {
    const KEY: &str = "[[train.stage]] objective = \"dpo\"";
    const METRIC: &str = "perennial_ingest_untrained_samples";
    let fixture = Fixture::new().unwrap();
    let example = fs::read_to_string(repository().join("config/examples/demo/tiny.toml")).unwrap();
    let example = example.replace("../../..", &repository().display().to_string());
    let config = fixture.file("own.toml", &example).unwrap();
    let program = fixture.program.with_config(&config);
    let rows: Vec<String> = task("tickets_train").unwrap()[..5].iter().cloned().chain(pairs()).collect();

    let file = fixture.file("first.jsonl", lines(&rows[..25])).unwrap();
    let report = program.run(&["ingest".as_ref(), file.as_os_str(), "--json".as_ref()]).unwrap().success().unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let (kind, first, key) = untrained(&report).unwrap();
    let held_out = report["held_out"].as_u64().unwrap();
    assert_eq!((kind, key), ("preference", KEY));
    assert!((20 - held_out..=20).contains(&first), "{report}");
    let file = fixture.file("again.jsonl", lines(&rows[20..30])).unwrap();
    let said = program.run(&["ingest".as_ref(), file.as_os_str()]).unwrap();
    assert!(said.stderr.contains("preference samples that no stage of training learns from"), "{}", said.stderr);

    let mut daemon = Daemon::start(&program).unwrap();
    let answer = daemon.http.post("/v1/samples", "application/jsonl", lines(&rows[30..40]).as_bytes()).unwrap();
    assert_eq!(untrained(&answer.json().unwrap()).unwrap().0, "preference");
    let status = daemon.status().unwrap();
    let (kind, waiting, key) = untrained(&status).unwrap();
    assert_eq!((kind, key), ("preference", KEY));
    assert!(waiting > first && waiting <= 35, "{waiting}");
    let label = [("kind", "preference")];
    assert_eq!(daemon.metrics().unwrap().sum(METRIC, &label), Some(waiting as f64));
    let shown = program.run(&["status"]).unwrap().success().unwrap();
    assert!(shown.contains(&format!("untrained   {waiting} preference samples")) && shown.contains(KEY), "{shown}");

    fs::write(&config, example.replace("[train]", "[train]\nobjectives = [\"sft\", \"dpo\"]")).unwrap();
    daemon.signal("HUP").unwrap();
    let http = daemon.http;
    let measured = || Ok((Metrics::parse(&http.get("/metrics")?.body)?.sum(METRIC, &label) == Some(0.0)).then_some(()));
    daemon.wait_for("the new stage", INTAKE_LIMIT, measured).unwrap();
    assert_eq!(untrained(&daemon.status().unwrap()), None);
    let answer = http.post("/v1/samples", "application/jsonl", lines(&rows[40..]).as_bytes()).unwrap().json().unwrap();
    assert_eq!(untrained(&answer), None, "{answer}");
}

#[test]
fn keys_of_a_stage_that_make_no_sense_are_named() {
    for (stage, problem) in [
        (r#"{ objective = "dpo", beta = 0.0 }"#, "`train.stage[0].beta` makes no sense"),
        (r#"{ objective = "dpo", betta = 0.1 }"#, "did you mean `beta`?"),
        (r#"{ objective = "dpo" }, { objective = "sft" }"#, "each once and in this order"),
    ] {
        let fixture = Fixture::new().unwrap().with(&[&format!("train.stage=[{stage}]")]);
        let said = fixture.program.run(&["check"]).unwrap().failure().unwrap();
        assert!(said.contains(problem), "{said}");
    }
}
