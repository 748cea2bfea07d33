//! What a mix is made of besides what is new: replayed samples, and answers of the base model itself.

use std::{collections::BTreeMap, fs};

use perennial_registry::{Cycle, Phase};
use perennial_tests::{Fixture, task};
use serde_json::{Value, json};

use crate::support::{cycle, ingest, lines, report};

/// Enough to see what a cycle is made of, if not to learn much: every sample once.
const QUICK: [&str; 3] = ["train.epochs=1", "cycle.samples_min=5000", "train.steps_max=40"];

fn manifest(fixture: &Fixture, cycle: &Cycle) -> Value {
    let path = fixture.state().join("cycles").join(cycle.id.to_string()).join("manifest.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The questions of these rows, as prompts alone.
fn prompts(rows: &[String]) -> Vec<String> {
    let question = |row: &String| serde_json::from_str::<Value>(row).unwrap()["messages"][0]["content"].clone();
    rows.iter().map(|row| json!({ "prompt": question(row) }).to_string()).collect()
}

#[test]
fn a_mix_has_its_shares_of_new_replayed_and_anchored_samples() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    // What the tiny model knows, so that its answers end by themselves.
    let known = task("general_train").unwrap();
    let file = fixture.file("anchors.jsonl", lines(&prompts(&known[170..210]))).unwrap();
    let file = format!("replay.anchor.file={}", file.display());
    let fixture = fixture.with(&[&file, "replay.anchor.ratio=0.1"]);

    ingest(&fixture, "general.jsonl", &known[..60]).unwrap();
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    let first = cycle(&fixture).unwrap();
    let mix = manifest(&fixture, &first);
    assert!(mix["anchor"].as_u64().unwrap() > 0 && mix["replay"] == 0, "{mix:#}");
    assert_eq!(mix["policy"], "balanced");
    let shares = ["new", "replay", "anchor"].map(|origin| (mix["shares"][origin].as_f64().unwrap() * 10.0).round());
    assert_eq!(shares, [7.0, 2.0, 1.0]);
    let candidate = first.candidate.as_ref().unwrap();
    let lineage = fixture.registry().unwrap().adapter(candidate).unwrap().unwrap().lineage;
    assert_eq!(lineage.config["shares"], mix["shares"]);
    let notes = report(&fixture, &first).unwrap()["notes"].to_string();
    assert!(notes.contains("answers of the base model itself are in the mix"), "{notes}");

    // Whatever the gate said, it is the champion from here on.
    if fixture.registry().unwrap().champion().unwrap().as_ref() != Some(candidate) {
        fixture.program.run(&["promote", "--force", candidate.as_str()]).unwrap().success().unwrap();
    }
    let answers = || -> BTreeMap<_, _> {
        let files = fs::read_dir(fixture.state().join("anchors")).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let asked = answers();
    assert_eq!(asked.len(), 1);
    let status = fixture.program.run(&["status", "--json"]).unwrap().success().unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    let standing = &status["anchors"];
    assert_eq!(standing["answered"].as_u64().unwrap() + standing["unanswered"].as_u64().unwrap(), 40, "{standing}");
    // They are nobody's samples.
    let domains = status["domains"].as_object().unwrap();
    assert_eq!(domains.keys().collect::<Vec<_>>(), ["general", "tickets"]);
    let consumed: u64 = domains.values().map(|counts| counts["training"].as_u64().unwrap()).sum();
    assert_eq!((mix["new"].as_u64().unwrap(), status["waiting"]["samples"].as_u64().unwrap()), (consumed, 0));

    ingest(&fixture, "zun.jsonl", &task("zun_train").unwrap()[..60]).unwrap();
    let second = cycle(&fixture).unwrap();
    let mix = manifest(&fixture, &second);
    for domain in ["general", "tickets"] {
        assert!(mix["domains"][domain]["replay"].as_u64().unwrap() > 0, "{mix:#}");
    }
    assert!(mix["anchor"].as_u64().unwrap() > 0 && mix["replay_tokens"].as_u64().unwrap() > 0, "{mix:#}");
    // The base model was asked once.
    assert_eq!(answers(), asked);
    assert!(second.detail(Phase::Decided).unwrap()["fell"].is_array());
}

#[test]
fn anchor_prompts_that_cannot_be_read_are_told_before_anything_is_begun() {
    let fixture = Fixture::new().unwrap();
    let file = fixture.file("anchors.jsonl", "{\"prompt\": \"a\"}\n{\"text\": \"b\"}\n").unwrap();
    let file = format!("replay.anchor.file={}", file.display());
    let fixture = fixture.with(&[&file, "replay.anchor.ratio=0.1"]);
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..20]).unwrap();
    let refusal = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
    assert!(refusal.contains("anchors.jsonl: line 2: it is a row of the kind text"), "{refusal}");
    assert!(fixture.registry().unwrap().cycles(1).unwrap().is_empty());
}
