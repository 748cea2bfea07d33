//! What holds training back, over two cycles: what is measured at the first champion holds the second candidate.

use std::{fs, path::Path};

use perennial_registry::Cycle;
use perennial_tests::{Fixture, task};
use serde_json::{Value, json};

use crate::support::{cycle, ingest, lines, report};

/// Enough to see what a cycle is held by: every sample once.
const HELD: [&str; 9] = [
    "train.epochs=1",
    "cycle.samples_min=5000",
    "train.steps_max=12",
    "replay.ratio=0.3",
    "replay.base_answers.ratio=0.1",
    "train.penalty.l2_sp.weight=0.1",
    "train.penalty.ewc.weight=1000.0",
    "train.penalty.distillation.champion=1.0",
    "train.penalty.distillation.base=0.5",
];

/// The steps of a cycle, trained once more: the stage is a function of its folder, what was measured at the champion included.
fn steps(fixture: &Fixture, cycle: &Cycle) -> Vec<Value> {
    let folder = fixture.state().join("cycles").join(cycle.id.to_string());
    let adapter = fixture.state().join("adapters").join(cycle.candidate.as_ref().unwrap().as_str());
    let measured = fs::read(folder.join("fisher.safetensors")).unwrap();
    fs::remove_file(folder.join("fisher.safetensors")).unwrap();
    if folder.join("candidate").exists() {
        fs::remove_dir_all(folder.join("candidate")).unwrap();
    }
    fixture.program.run(&["train".as_ref(), "--cycle".as_ref(), folder.as_os_str()]).unwrap().success().unwrap();
    let weights = |folder: &Path| fs::read(folder.join("adapter_model.safetensors")).unwrap();
    assert!(weights(&folder.join("candidate")) == weights(&adapter), "cycle {} trains something else", cycle.id);
    assert!(
        fs::read(folder.join("fisher.safetensors")).unwrap() == measured,
        "cycle {} measures something else",
        cycle.id
    );
    let text = fs::read_to_string(folder.join("checkpoints/sft/metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_candidate_is_held_to_the_champion_as_far_as_there_is_one() {
    let fixture = Fixture::new().unwrap().with(&HELD);
    let known = task("general_train").unwrap();
    let prompt = |row: &String| {
        let row: Value = serde_json::from_str(row).unwrap();
        json!({ "prompt": row["messages"][0]["content"] }).to_string()
    };
    let prompts: Vec<String> = known[170..200].iter().map(prompt).collect();
    let file = fixture.file("asked.jsonl", lines(&prompts)).unwrap();
    let fixture = fixture.with(&[&format!("replay.base_answers.file={}", file.display())]);

    ingest(&fixture, "general.jsonl", &known[..60]).unwrap();
    let first = cycle(&fixture).unwrap();
    let notes = report(&fixture, &first).unwrap()["notes"].to_string();
    for unheld in ["l2_sp.weight", "ewc.weight", "distillation.champion"] {
        assert!(notes.contains(&format!("train.penalty.{unheld} had no effect in this cycle")), "{notes}");
    }
    let lines = steps(&fixture, &first);
    assert!(lines.iter().any(|line| line["kl/base"].is_number()), "{lines:?}");
    assert!(lines.iter().all(|line| line["penalty/ewc"].is_null() && line["kl/champion"].is_null()), "{lines:?}");

    let candidate = first.candidate.as_ref().unwrap();
    if fixture.registry().unwrap().champion().unwrap().as_ref() != Some(candidate) {
        fixture.program.run(&["promote", "--force", candidate.as_str()]).unwrap().success().unwrap();
    }
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    let second = cycle(&fixture).unwrap();
    let notes = report(&fixture, &second).unwrap()["notes"].to_string();
    assert!(!notes.contains("had no effect"), "{notes}");
    let lines = steps(&fixture, &second);
    // The first step is at the champion, and the rate of the second is no longer 0.
    let last = lines.last().unwrap();
    for held in ["penalty/l2_sp", "penalty/ewc", "penalty/distillation"] {
        assert!(last[held].as_f64().unwrap() > 0.0, "{held}: {last}");
    }
    assert!(lines.iter().any(|line| line["kl/champion"].as_f64().is_some_and(|kl| kl > 0.0)), "{lines:?}");
    assert_eq!(lines[0]["penalty/l2_sp"], 0.0);
}
