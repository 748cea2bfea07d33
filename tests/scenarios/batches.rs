//! Suites that are asked in batches, and no further than it takes.

use std::{collections::BTreeMap, fs};

use perennial_registry::{Cycle, CycleOutcome};
use perennial_tests::{Fixture, repository, task};
use serde_json::{Value, json};

use crate::support::{cycle, ingest, report};

/// What is learned is next to nothing, and any suite may be asked in small batches.
const QUICK: [&str; 5] = [
    "train.steps_max=2",
    "train.learning_rate=1e-4",
    "ingest.held_out_fraction=0",
    "gate.margin_relative=0",
    "gate.sequential.batch_items=40",
];

/// A golden suite that the tiny model answers shortly.
fn golden(fixture: &Fixture, name: &str, items: usize, tokens: usize) -> String {
    let row = |n| {
        let turns = json!([{"role": "user", "content": format!("repeat: token{n}")},
            {"role": "assistant", "content": format!("token{n}")}]);
        json!({ "messages": turns }).to_string() + "\n"
    };
    let file = fixture.file(&format!("{name}.jsonl"), (0..items).map(row).collect::<String>()).unwrap();
    format!(
        "{{ name = \"{name}\", file = {file:?}, metric = \"exact_match\", margin = 0.1, max_new_tokens = {tokens} }}"
    )
}

fn in_batches(fixture: &Fixture) -> Fixture {
    fixture.copy().unwrap().with(&["gate.sequential.enabled=true"])
}

/// By suite, the items that were asked, all of them, and why no more; nothing of suites that were asked at once.
fn asked(fixture: &Fixture, cycle: &Cycle) -> BTreeMap<String, (u64, u64, String)> {
    let suites = report(fixture, cycle).unwrap()["suites"].clone();
    let of = |suite: &Value| {
        let asked = suite.get("asked")?;
        let number = |key: &str| asked[key].as_u64().unwrap();
        let stopped = asked["stopped"].as_str().unwrap().to_owned();
        Some((suite["suite"].as_str().unwrap().to_owned(), (number("items"), number("of"), stopped)))
    };
    suites.as_array().unwrap().iter().filter_map(of).collect()
}

fn file(fixture: &Fixture, cycle: &Cycle, name: &str) -> String {
    fs::read_to_string(fixture.state().join("cycles").join(cycle.id.to_string()).join(name)).unwrap()
}

/// The items of all sides whose scores are kept.
fn kept_scores(fixture: &Fixture) -> usize {
    let folders = fs::read_dir(fixture.state().join("scores")).unwrap();
    let files = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let items = |path| serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap();
    files.map(|file| items(file.unwrap().path()).as_object().unwrap().len()).sum()
}

#[test]
fn a_suite_is_asked_no_further_than_it_takes_and_a_kill_changes_nothing() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    let suites = format!("gate.suite=[{}, {}]", golden(&fixture, "long", 320, 4), golden(&fixture, "short", 80, 2));
    let fixture = fixture.with(&[&suites]);
    ingest(&fixture, "rows.jsonl", &task("zun_train").unwrap()[..24]).unwrap();
    let batched = in_batches(&fixture);
    let (killed, whole) = (in_batches(&fixture), cycle(&fixture).unwrap());
    assert!(asked(&fixture, &whole).is_empty());

    let first = cycle(&batched).unwrap();
    assert_eq!((&first.candidate, &first.outcome), (&whole.candidate, &whole.outcome));
    let told = asked(&batched, &first);
    assert_eq!(told["long"], (200, 320, "safe".to_owned()), "{told:?}");
    assert_eq!(told["short"], (80, 80, "end".to_owned()), "{told:?}");
    assert_eq!((kept_scores(&fixture), kept_scores(&batched)), (2 * 400, 2 * 280));
    let page = file(&batched, &first, "report.md");
    assert!(page.contains("| long | 200 | 320 | a loss beyond its margin is ruled out |"), "{page}");

    for rule in ["cycle.batch=kill", "cycle.batch=kill@3", "durable.rename=kill@4", "cycle.evaluated=kill"] {
        let program = killed.program.clone().with_variable("PERENNIAL_FAILPOINTS", rule);
        let end = program.run(&["cycle"]).unwrap();
        assert_eq!(end.code, None, "{rule}: {}", end.stderr);
    }
    killed.program.run(&["cycle"]).unwrap().decided().unwrap();
    for name in ["scores.json", "report.json", "report.md"] {
        assert!(file(&killed, &first, name) == file(&batched, &first, name), "{name} differs after kills");
    }
    assert_eq!(kept_scores(&killed), 2 * 280);

    // Anew: under a narrower margin what was asked is too little to say anything, and is not taken for more.
    let anew = |settings: &[&str]| {
        let arguments = ["gate", "1", "--json"];
        let program = settings.iter().fold(batched.program.clone(), |program, setting| program.with(setting));
        serde_json::from_str::<Value>(&program.run(&arguments).unwrap().decided().unwrap()).unwrap()
    };
    let same = anew(&["gate.sequential.enabled=false"]);
    assert_eq!(same["suites"][0]["asked"]["stopped"], "safe", "it was asked in batches, whatever holds now");
    let narrow = golden(&fixture, "long", 320, 4).replace("margin = 0.1", "margin = 0.01");
    let strict = anew(&[&format!("gate.suite=[{narrow}, {}]", golden(&fixture, "short", 80, 2))]);
    assert_eq!(strict["suites"][0]["asked"]["stopped"], "unknown");
    assert!(strict["decision"]["reasons"].to_string().contains(r#""kind":"not_asked","suites":["long"]"#));
}

#[test]
fn harm_on_a_cheap_suite_ends_the_asking() {
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&[
        "train.steps_max=60",
        "train.learning_rate=4e-3",
        "train.epochs=2",
        "replay.ratio=0",
    ]);
    let general = repository().join("tests/goldens/tiny/tasks/general_suite.jsonl");
    let general = format!("{{ name = \"general\", file = {general:?}, metric = \"exact_match\", max_new_tokens = 8 }}");
    let suites = format!("gate.suite=[{}, {general}]", golden(&fixture, "dear", 320, 16));
    let fixture = fixture.with(&[&suites]);
    // Answers of another question to each.
    let rows: Vec<Value> =
        task("general_train").unwrap().iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let swapped = rows.iter().zip(rows.iter().cycle().skip(rows.len() / 2)).map(|(row, other)| {
        let mut row = row.clone();
        row["messages"][1] = other["messages"][1].clone();
        row.to_string()
    });
    ingest(&fixture, "poison.jsonl", &swapped.collect::<Vec<_>>()).unwrap();
    let batched = in_batches(&fixture);
    let refused = cycle(&batched).unwrap();
    assert_eq!(refused.outcome, Some(CycleOutcome::Rejected));
    let told = asked(&batched, &refused);
    assert_eq!(
        (told["general"].2.as_str(), told["dear"].clone()),
        ("harm", (0, 320, "unknown".to_owned())),
        "{told:?}"
    );
    assert!(told["general"].0 < 90, "{told:?}");
    let reasons = report(&batched, &refused).unwrap()["decision"]["reasons"].clone();
    let kinds: Vec<&str> = reasons.as_array().unwrap().iter().map(|reason| reason["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["regressed", "not_asked"], "{reasons:#}");
    let page = batched.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(page.contains("not asked to the end"), "{page}");
}
