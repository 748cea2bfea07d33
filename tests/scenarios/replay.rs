//! What a mix is made of besides what is new: replayed samples, and answers of the base model itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use perennial_registry::{Cycle, Phase};
use perennial_tests::{Fixture, task};
use perennial_types::SampleId;
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
fn a_mix_has_its_shares_of_new_replayed_and_base_answers() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    // What the tiny model knows, so that its answers end by themselves.
    let known = task("general_train").unwrap();
    let file = fixture.file("prompts.jsonl", lines(&prompts(&known[170..210]))).unwrap();
    let file = format!("replay.base_answers.file={}", file.display());
    let fixture = fixture.with(&[&file, "replay.base_answers.ratio=0.1"]);

    ingest(&fixture, "general.jsonl", &known[..60]).unwrap();
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    let first = cycle(&fixture).unwrap();
    let mix = manifest(&fixture, &first);
    assert!(mix["base_answers"].as_u64().unwrap() > 0 && mix["replay"] == 0, "{mix:#}");
    assert_eq!(mix["policy"], "balanced");
    let shares =
        ["new", "replay", "base_answers"].map(|origin| (mix["shares"][origin].as_f64().unwrap() * 10.0).round());
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
        let files = fs::read_dir(fixture.state().join("base_answers")).unwrap().map(|entry| entry.unwrap().path());
        files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
    };
    let asked = answers();
    assert_eq!(asked.len(), 1);
    let status = fixture.program.run(&["status", "--json"]).unwrap().success().unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    // It was asked what the mix took, and a few that shared a batch.
    let standing = &status["base_answers"];
    let asked_of = standing["answered"].as_u64().unwrap() + standing["unanswered"].as_u64().unwrap();
    assert!((mix["base_answers"].as_u64().unwrap()..40).contains(&asked_of), "{standing}");
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
    assert!(mix["base_answers"].as_u64().unwrap() > 0 && mix["replay_tokens"].as_u64().unwrap() > 0, "{mix:#}");
    // What the base model was asked before stands.
    for (path, before) in asked {
        let (before, now) = (String::from_utf8(before).unwrap(), fs::read_to_string(&path).unwrap());
        let lines: BTreeSet<&str> = now.lines().collect();
        assert!(lines.len() == now.lines().count() && before.lines().all(|line| lines.contains(line)), "{now}");
    }
    assert!(second.detail(Phase::Decided).unwrap()["fell"].is_array());
}

#[test]
fn prompts_that_cannot_be_read_are_told_before_anything_is_begun() {
    let fixture = Fixture::new().unwrap();
    let file = fixture.file("prompts.jsonl", "{\"prompt\": \"a\"}\n{\"text\": \"b\"}\n").unwrap();
    let file = format!("replay.base_answers.file={}", file.display());
    let fixture = fixture.with(&[&file, "replay.base_answers.ratio=0.1"]);
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..20]).unwrap();
    let refusal = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
    assert!(refusal.contains("prompts.jsonl: line 2: it is a row of the kind text"), "{refusal}");
    assert!(fixture.registry().unwrap().cycles(1).unwrap().is_empty());
}

/// Goes on with a cycle that was killed at a failpoint, and with a copy in which it never was; both have come to the same.
fn ends_as_undisturbed(fixture: &Fixture, failpoint: &str, file: &str) -> Cycle {
    let undisturbed = fixture.copy().unwrap();
    let expected = cycle(&undisturbed).unwrap();
    let killed = fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", &format!("{failpoint}=kill"));
    assert_eq!(killed.run(&["cycle"]).unwrap().code, None);
    fixture.program.run(&["cycle"]).unwrap().decided().unwrap();
    let found = fixture.registry().unwrap().cycles(1).unwrap().remove(0);
    assert_eq!((found.mix, &found.candidate), (expected.mix, &expected.candidate));
    let read = |fixture: &Fixture| fs::read(fixture.state().join(file)).unwrap();
    assert_eq!(read(fixture), read(&undisturbed));
    found
}

#[test]
fn a_cycle_killed_while_the_base_model_answers_ends_as_one_that_was_not() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    let known = task("general_train").unwrap();
    let file = fixture.file("prompts.jsonl", lines(&prompts(&known[170..210]))).unwrap();
    let file = format!("replay.anchor.file={}", file.display());
    // By the older name of the section, which is still read.
    let fixture = fixture.with(&[&file, "replay.anchor.ratio=0.2", "train.steps_max=4"]);
    let checked = fixture.program.run(&["check"]).unwrap().stdout;
    assert!(checked.contains("`replay.anchor` is called `replay.base_answers` now"), "{checked}");
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    let whole = fixture.copy().unwrap();
    cycle(&whole).unwrap();
    let answers = fs::read_dir(whole.state().join("base_answers")).unwrap().next().unwrap().unwrap().file_name();
    let answers = format!("base_answers/{}", answers.to_str().unwrap());
    ends_as_undisturbed(&fixture, "base_answers.kept", &answers);
}

#[test]
fn the_policy_loss_replays_what_the_last_training_cost_most() {
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&["replay.policy=loss", "replay.fallen_ratio=0.0"]);
    let promoted = |name: &str| {
        ingest(&fixture, &format!("{name}.jsonl"), &task(&format!("{name}_train")).unwrap()[..120]).unwrap();
        let candidate = cycle(&fixture).unwrap().candidate.unwrap();
        if fixture.registry().unwrap().champion().unwrap().as_ref() != Some(&candidate) {
            fixture.program.run(&["promote", "--force", candidate.as_str()]).unwrap().success().unwrap();
        }
        candidate
    };
    let (before, champion) = (promoted("general"), promoted("tickets"));
    ingest(&fixture, "zun.jsonl", &task("zun_train").unwrap()[..60]).unwrap();
    let last = ends_as_undisturbed(&fixture, "replay_losses.kept", "cycles/000003/replay_losses.json");

    let losses = fs::read_to_string(fixture.state().join("cycles/000003/replay_losses.json")).unwrap();
    let losses: Value = serde_json::from_str(&losses).unwrap();
    assert_eq!((&losses["before"], &losses["champion"]), (&json!(before), &json!(champion)));
    let samples = losses["samples"].as_array().unwrap();
    let rise = |sample: &Value| sample["champion"].as_f64().unwrap() - sample["before"].as_f64().unwrap();
    let mut by_rise: Vec<(f64, SampleId)> =
        samples.iter().map(|sample| (rise(sample), serde_json::from_value(sample["id"].clone()).unwrap())).collect();
    by_rise.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mix = manifest(&fixture, &last);
    let replayed = mix["replay"].as_u64().unwrap() as usize;
    assert!(replayed > 5 && replayed * 2 < samples.len(), "{replayed} of {}", samples.len());
    let most: Vec<SampleId> = by_rise[..replayed].iter().map(|(_, id)| *id).collect();
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for record in fixture.registry().unwrap().sample_records(&most).unwrap() {
        *expected.entry(record.domain.to_string()).or_default() += 1;
    }
    let found = mix["domains"].as_object().unwrap().iter();
    let found: BTreeMap<String, u64> = found
        .map(|(domain, counts)| (domain.clone(), counts["replay"].as_u64().unwrap()))
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(found, expected);
    // Tickets were what was learned last.
    assert!(found["general"] > found.get("tickets").copied().unwrap_or(0), "{found:?}");
    let notes = report(&fixture, &last).unwrap()["notes"].to_string();
    assert!(notes.contains("What is replayed was chosen by its loss"), "{notes}");
}
