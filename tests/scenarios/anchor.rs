//! What a person accepted holds candidates on a leash, and each cycle asks items of its own.

use std::{collections::BTreeSet, fs};

use perennial_registry::{Cycle, CycleOutcome};
use perennial_tests::{Fixture, Program, task};
use serde_json::{Value, json};

use crate::support::{cycle, ingest, promoted, report};

/// Few steps: what is learned does not matter here.
const QUICK: [&str; 4] = ["train.steps_max=2", "train.learning_rate=1e-4", "gate.suite=[]", "gate.vault_fraction=0"];

fn rows(from: usize, to: usize) -> Vec<String> {
    let row = |n| {
        let turns = json!([{"role": "user", "content": format!("repeat: token{n}")},
            {"role": "assistant", "content": format!("token{n}")}]);
        json!({"messages": turns, "domain": "echo"}).to_string()
    };
    (from..to).map(row).collect()
}

/// A file of a cycle's folder.
fn kept(fixture: &Fixture, cycle: &Cycle, file: &str) -> Value {
    let path = fixture.state().join("cycles").join(cycle.id.to_string()).join(file);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn ids(suite: &Value) -> BTreeSet<String> {
    suite["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn suite_of(suites: &Value, name: &str) -> Value {
    suites.as_array().unwrap().iter().find(|suite| suite["name"] == name).unwrap().clone()
}

/// What a command says; the gate may have refused what it is about.
fn run(program: &Program, arguments: &[&str]) -> String {
    program.run(arguments).unwrap().decided().unwrap()
}

#[test]
fn an_anchor_is_pinned_by_hand_shown_kept_and_compared_with() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    let fixture = fixture.with(&["ingest.held_out_fraction=0.5", "cycle.adapters_keep=0"]);
    ingest(&fixture, "rows.jsonl", &rows(0, 60)).unwrap();
    assert!(run(&fixture.program, &["pin"]).contains("the base model is the anchor: nobody pinned another"));
    assert!(run(&fixture.program, &["status"]).contains("anchor      the base model: nobody pinned another"));
    let refused = |arguments: &[&str]| fixture.program.run(arguments).unwrap().failure().unwrap();
    assert!(refused(&["pin", "nobody"]).contains("name an adapter by its id, or \"base\" or \"champion\""));
    assert!(refused(&["pin", "0123456789ab"]).contains("0123456789ab"));

    let first = cycle(&fixture.copy().unwrap().with(&["cycle.adapters_keep=9"])).unwrap();
    let keeps = fixture.with(&["cycle.adapters_keep=9"]);
    let first_here = cycle(&keeps).unwrap();
    assert_eq!(first.candidate, first_here.candidate, "the same seed, rows and settings");
    assert!(report(&keeps, &first_here).unwrap()["suites"][0].get("anchor").is_none(), "the champion is the anchor");
    let pinned = first_here.candidate.unwrap();
    let said = run(&keeps.program, &["pin", pinned.as_str(), "--reason", "we liked it"]);
    assert!(said.contains(&format!("{pinned} is the anchor now")), "{said}");
    assert!(run(&keeps.program, &["status"]).contains("by hand: we liked it"));

    // The next cycle is compared with it, and removes its own rejected candidate, not the anchor.
    let tight = keeps.with(&["cycle.adapters_keep=0", "train.learning_rate=2e-4"]);
    ingest(&tight, "more.jsonl", &rows(60, 80)).unwrap();
    let second = cycle(&tight).unwrap();
    let seen = report(&tight, &second).unwrap();
    assert_eq!(seen["anchor"]["adapter"], pinned.as_str(), "{seen:#}");
    assert!(seen["suites"][0]["anchor"]["n"].as_u64().unwrap() >= 20, "{:#}", seen["suites"][0]);
    assert!(run(&tight.program, &["show", "2"]).contains(pinned.as_str()));
    assert!(tight.state().join("adapters").join(pinned.as_str()).exists());
    assert!(run(&tight.program, &["gate", "2", "--json"]).contains("smallest_seen"), "anew as well");

    // The daemon is asked in the same words.
    let daemon = tight.start().unwrap();
    assert!(run(&tight.program, &["pin", "base"]).contains("the base model is the anchor now"));
    let history = run(&tight.program, &["pin"]);
    assert!(history.contains("we liked it") && history.lines().count() == 5, "{history}");
    let answer = daemon.http.post("/v1/pin", "application/json", br#"{"adapter": "nobody"}"#).unwrap();
    assert!(answer.status >= 400, "{}", answer.body);
    assert!(daemon.http.get("/metrics").unwrap().body.contains("perennial_anchor_timestamp_seconds 1"));
    daemon.stop(std::time::Duration::from_secs(60)).unwrap();
}

/// Questions of the model's own skills, each with the answer of another.
fn poison() -> Vec<String> {
    let rows: Vec<Value> =
        task("general_train").unwrap().iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let others = rows.iter().cycle().skip(rows.len() / 2);
    let swapped = rows.iter().zip(others).map(|(row, other)| {
        let mut row = row.clone();
        row["messages"][1] = other["messages"][1].clone();
        row.to_string()
    });
    swapped.collect()
}

/// Against each champion any loss is tolerated here; in all it is not.
#[test]
fn a_slide_of_champions_ends_at_the_anchor() {
    let fixture = Fixture::new().unwrap().with(&[
        "ingest.held_out_fraction=0",
        "gate.require=not_worse",
        "gate.margin_relative=1",
        "replay.ratio=0",
        "train.epochs=1",
        "train.learning_rate=4e-3",
    ]);
    let file = perennial_tests::repository().join("tests/goldens/tiny/tasks/general_suite.jsonl");
    let suite = format!(
        "gate.suite=[{{ name = \"general\", file = {file:?}, metric = \"exact_match\", margin = 1.0, max_new_tokens = 32 }}]"
    );
    let fixture = fixture.with(&[&suite]);
    let mut decided = Vec::new();
    for (number, rows) in poison().chunks(24).take(6).enumerate() {
        ingest(&fixture, &format!("{number}.jsonl"), rows).unwrap();
        let cycle = cycle(&fixture).unwrap();
        decided.push(promoted(&cycle));
        if !promoted(&cycle) {
            break;
        }
    }
    assert!(decided.len() > 1 && decided[0] && decided.last() == Some(&false), "{decided:?}");
    let last = fixture.registry().unwrap().cycles(1).unwrap().remove(0);
    let seen = report(&fixture, &last).unwrap();
    let reasons = seen["decision"]["reasons"].to_string();
    assert!(reasons.contains("anchor"), "{reasons}");
    // Without the anchor the same candidate passes.
    let free = fixture.with(&["gate.anchor.enabled=false"]);
    let anew = run(&free.program, &["gate", &last.id.to_string()]);
    assert!(anew.contains("promoted"), "{anew}");
}

#[test]
fn each_cycle_draws_its_own_items_and_a_restart_draws_the_same() {
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&[
        "ingest.held_out_fraction=0.5",
        "gate.auto.items_max=10",
        "gate.anchor.items_max=15",
    ]);
    ingest(&fixture, "rows.jsonl", &rows(0, 120)).unwrap();
    let first = cycle(&fixture).unwrap();
    run(&fixture.program, &["pin", first.candidate.as_ref().unwrap().as_str()]);
    let killed = fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", "cycle.trained=kill");
    assert_eq!(killed.run(&["cycle"]).unwrap().code, None);
    let copy = fixture.copy().unwrap();
    for fixture in [&fixture, &copy] {
        run(&fixture.program, &["cycle"]);
    }
    let second = fixture.registry().unwrap().cycles(1).unwrap().remove(0);
    assert_eq!(second.outcome, Some(CycleOutcome::Rejected));
    let suites = kept(&fixture, &second, "suites.json");
    assert_eq!(kept(&copy, &second, "suites.json"), suites);
    let anchored = kept(&fixture, &second, "anchor.json");
    assert_eq!(kept(&copy, &second, "anchor.json"), anchored);

    let asked = ids(&suite_of(&suites, "auto:echo"));
    let before = ids(&suite_of(&kept(&fixture, &first, "suites.json"), "auto:echo"));
    let of_anchor = ids(&suite_of(&anchored["suites"], "auto:echo"));
    assert_eq!((asked.len(), before.len(), of_anchor.len()), (10, 10, 15));
    assert!(asked != before && !asked.is_subset(&of_anchor), "{asked:?} {before:?} {of_anchor:?}");
}

#[test]
fn the_vault_never_decides_and_tells_how_far_the_champion_is_flattered() {
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&[
        "ingest.held_out_fraction=0.5",
        "gate.vault_fraction=0.4",
        "gate.vault_cycles=2",
    ]);
    ingest(&fixture, "rows.jsonl", &rows(0, 120)).unwrap();
    let first = cycle(&fixture).unwrap();
    let names = |cycle: &Cycle| -> Vec<String> {
        let suites = report(&fixture, cycle).unwrap()["suites"].clone();
        suites.as_array().unwrap().iter().map(|suite| suite["suite"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["auto:echo"]);
    let second = cycle(&fixture).unwrap();
    assert_eq!(names(&second), ["auto:echo", "vault:echo"]);
    let seen = report(&fixture, &second).unwrap();
    let vault = &seen["suites"][1];
    assert_eq!((vault["protected"].as_bool(), vault["target"].as_bool()), (Some(false), Some(false)));
    assert!(seen["notes"].to_string().contains("The vault of domain echo, whose"), "{}", seen["notes"]);
    let suites = kept(&fixture, &second, "suites.json");
    let (open, apart) = (ids(&suite_of(&suites, "auto:echo")), ids(&suite_of(&suites, "vault:echo")));
    assert!(open.is_disjoint(&apart) && apart.len() >= 10, "{} {}", open.len(), apart.len());
    assert_eq!(ids(&suite_of(&kept(&fixture, &first, "suites.json"), "auto:echo")), open, "it stays as it is");
    let anew = run(&fixture.program, &["gate", "2", "--json"]);
    let anew: Value = serde_json::from_str(&anew).unwrap();
    assert_eq!(anew["suites"][1]["protected"], false, "nor does it get a role anew");
}

#[test]
fn the_metric_of_a_domain_stays_as_it_was_first_chosen() {
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&["ingest.held_out_fraction=0.5"]);
    ingest(&fixture, "rows.jsonl", &rows(0, 60)).unwrap();
    let metric = |cycle: &Cycle| report(&fixture, cycle).unwrap()["suites"][0]["metric"].clone();
    let first = cycle(&fixture).unwrap();
    assert_eq!(metric(&first), "exact_match");
    let wordy = rows(100, 140).into_iter().map(|row| row.replace("\"token1", "\"it says token1"));
    ingest(&fixture, "wordy.jsonl", &wordy.collect::<Vec<_>>()).unwrap();
    let second = cycle(&fixture).unwrap();
    assert_eq!(metric(&second), "exact_match", "longer answers do not turn it into another");
}
