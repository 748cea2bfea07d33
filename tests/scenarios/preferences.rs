//! Preferences: what learns from them, and what is said of stages whose keys make no sense.

use std::fs;

use perennial_registry::CycleOutcome;
use perennial_tests::{Fixture, task};
use serde_json::{Value, json};

use crate::support::{cycle, ingest};

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
    let said = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
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
