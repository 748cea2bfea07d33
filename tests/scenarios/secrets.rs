//! What somebody wrote, and what only some may know, is in no log line, metric or status.

use perennial_tests::{Exit, Fixture, repository, task};
use serde_json::{Value, json};

use crate::support::{CYCLE_LIMIT, INTAKE_LIMIT, await_cycle, lines};

/// In a sample that is learned from.
const LEARNED: &str = "kestrel-5a1f";
/// In rows that are refused, each for a reason of its own.
const REFUSED: &str = "plover-c02b";
/// In what a plugin is told.
const CONFIGURED: &str = "curlew-91e4";
/// In the name of somebody's field.
const FIELD: &str = "dunlin_77d3";
/// What somebody calls with.
const TOKEN: &str = "prn_wagtail93b893b893b893b893b893b8";

fn refused() -> Vec<String> {
    let turn = |role: &str| json!({"messages": [{"role": role, "content": REFUSED}]}).to_string();
    vec![
        format!(r#"{{"messages": [{{"role": "user", "content": "{REFUSED}"#),
        turn("assistant"),
        turn("wizard"),
        json!({"prompt": REFUSED, "completion": 7}).to_string(),
        json!({FIELD: REFUSED}).to_string(),
        json!({"text": format!("{REFUSED} ").repeat(20_000), "domain": "a b"}).to_string(),
    ]
}

#[test]
fn no_log_line_metric_or_status_holds_what_is_private() {
    let plugin = repository().join("plugins/json-schema/json-schema.wasm");
    let config = format!(r#"{{ schema = {{ type = "object", title = "{CONFIGURED}" }} }}"#);
    let fixture = Fixture::new().unwrap().with(&[
        "cycle.samples_min=50",
        "log.level=debug,perennial=trace",
        r#"train.objectives=["sft", "grpo"]"#,
        "train.steps_max=2",
        "grpo.steps_max=2",
        "grpo.prompts_per_step=2",
        "grpo.num_generations=4",
        "grpo.max_completion_length=24",
        &format!("reward.plugin=[{{ name = \"tickets\", file = {plugin:?}, config = {config} }}]"),
    ]);
    let rows: Vec<String> = task("tickets_train").unwrap()[..80]
        .iter()
        .map(|row| {
            let mut row: Value = serde_json::from_str(row).unwrap();
            let question = row["messages"][0]["content"].as_str().unwrap().to_owned();
            row["messages"][0]["content"] = json!(format!("{question} {LEARNED}"));
            row.to_string()
        })
        .collect();
    let mut daemon = fixture.start().unwrap();
    let sent = daemon.http.post("/v1/samples?source=rows.jsonl", "application/x-ndjson", lines(&refused()).as_bytes());
    let rejected = sent.unwrap().json().unwrap()["rejected"].as_u64();
    assert!(rejected.is_some_and(|rejected| rejected >= 4), "{rejected:?}");
    let token = format!("Bearer {TOKEN}");
    daemon.http.send("GET", "/v1/status", &[("authorization", &token)], &[]).unwrap();
    fixture.drop_into_inbox("refused.jsonl", lines(&refused())).unwrap();
    fixture.drop_into_inbox("rows.jsonl", lines(&rows)).unwrap();
    daemon.wait_for("an empty inbox", INTAKE_LIMIT, || Ok((fixture.waiting()? == 0).then_some(()))).unwrap();
    let cycle = await_cycle(&fixture, &mut daemon).unwrap();
    assert!(cycle.candidate.is_some(), "{:?}", cycle.outcome);
    let told = [
        ("the log", daemon.log()),
        ("the metrics", daemon.http.get("/metrics").unwrap().body),
        ("the status", daemon.http.get("/v1/status").unwrap().body),
        ("the cycles", daemon.http.get("/v1/cycles").unwrap().body),
    ];
    assert_eq!(daemon.stop(CYCLE_LIMIT).unwrap(), Exit::Code(0));
    assert!(told[0].1.contains("quarantine"), "it was told that rows were refused");
    for (place, text) in &told {
        for private in [LEARNED, REFUSED, CONFIGURED, FIELD, TOKEN] {
            let line = text.lines().find(|line| line.contains(private));
            assert!(line.is_none(), "{private} is in {place}: {}", line.unwrap_or_default());
        }
    }
}
