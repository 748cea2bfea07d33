//! What is judged, what cannot be, and what may not be trained on for it.

use std::{collections::BTreeSet, fs};

use perennial_registry::{Cycle, CycleOutcome};
use perennial_tests::{Fixture, REJECTED, task};
use serde_json::{Value, json};

use crate::support::{cycle, ingest, report};

/// Few steps: what is learned does not matter here.
const QUICK: [&str; 3] = ["train.steps_max=2", "train.learning_rate=1e-4", "gate.vault_fraction=0"];

fn chat(question: &str, answer: &str, domain: &str) -> String {
    let turns = json!([{"role": "user", "content": question}, {"role": "assistant", "content": answer}]);
    json!({"messages": turns, "domain": domain}).to_string()
}

/// An answer that calls a tool and says nothing.
fn call(question: &str, domain: &str) -> String {
    let tool = json!({"id": "1", "type": "function", "function": {"name": "lookup", "arguments": "{}"}});
    let turns =
        json!([{"role": "user", "content": question}, {"role": "assistant", "content": null, "tool_calls": [tool]}]);
    json!({"messages": turns, "domain": domain}).to_string()
}

fn suite(fixture: &Fixture, cycle: &Cycle, name: &str) -> Value {
    let suites = report(fixture, cycle).unwrap()["suites"].clone();
    suites.as_array().unwrap().iter().find(|suite| suite["suite"] == name).unwrap().clone()
}

fn manifest(fixture: &Fixture, cycle: &Cycle) -> Value {
    let path = fixture.state().join("cycles").join(cycle.id.to_string()).join("manifest.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What the auto suite of a domain asks, without blanks at the ends, in lower case.
fn asked(fixture: &Fixture, cycle: &Cycle, name: &str) -> Vec<String> {
    let path = fixture.state().join("cycles").join(cycle.id.to_string()).join("suites.json");
    let suites: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let suite = suites.as_array().unwrap().iter().find(|suite| suite["name"] == name).unwrap();
    let questions = suite["items"].as_array().unwrap().iter().map(|item| item["question"][0]["content"].clone());
    questions.map(|question| question.as_str().unwrap().trim().to_lowercase()).collect()
}

#[test]
fn items_without_an_answer_leave_their_suite_and_the_others_are_judged() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    let fixture = fixture.with(&["ingest.held_out_fraction=0.5", "gate.auto.metric=exact_match"]);
    let says = (0..30).map(|n| chat(&format!("repeat: token{n}"), &format!("token{n}"), "orders"));
    let calls = (0..10).map(|n| call(&format!("look order {n} up"), "orders"));
    ingest(&fixture, "orders.jsonl", &says.chain(calls).collect::<Vec<_>>()).unwrap();
    let cycle = cycle(&fixture).unwrap();
    assert!(cycle.finished_ms.is_some());
    let suite = suite(&fixture, &cycle, "auto:orders");
    assert!(suite["n"].as_u64().unwrap() >= 8 && suite["verdict"] != "void", "{suite:#}");
    let left = suite["unjudged_items"].as_array().unwrap();
    assert_eq!(suite["unjudged"].as_u64().unwrap() as usize, left.len());
    assert!(!left.is_empty(), "some calls are held out: {suite:#}");
    assert!(left.iter().all(|item| item["reason"] == "its reference is empty, which exact_match needs"), "{suite:#}");
    let page = fixture.program.run(&["show", "1"]).unwrap().success().unwrap();
    assert!(page.contains("## Items that could not be judged"), "{page}");
}

#[test]
fn a_suite_of_which_nothing_can_be_judged_is_void_by_name_and_the_cycle_ends() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    let fixture = fixture.with(&["ingest.held_out_fraction=0.5", "gate.auto.metric=token_f1"]);
    let notes =
        (0..24).map(|n| json!({"text": format!("Shelf {n} holds spare parts."), "domain": "notes"}).to_string());
    ingest(&fixture, "notes.jsonl", &notes.collect::<Vec<_>>()).unwrap();
    let first = cycle(&fixture).unwrap();
    assert_eq!(first.outcome, Some(CycleOutcome::Rejected));
    let decision = report(&fixture, &first).unwrap()["decision"].to_string();
    assert!(decision.contains(r#""kind":"void","suite":"auto:notes""#), "{decision}");
    assert!(decision.contains("plain text without a question"), "{decision}");
    // The next cycle begins as if nothing had been.
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..40]).unwrap();
    assert!(cycle(&fixture).unwrap().finished_ms.is_some());
}

#[test]
fn a_golden_file_with_a_bad_line_is_refused_by_name_before_anything_is_begun() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    let file = fixture.file("mine.jsonl", chat("a", "b", "x") + "\n{\"prompt\": \"no answer\"}\n").unwrap();
    let suite = format!("gate.suite=[{{ name = \"mine\", file = \"{}\", metric = \"contains\" }}]", file.display());
    let fixture = fixture.with(&[&suite]);
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..40]).unwrap();
    let check = fixture.program.run(&["check"]).unwrap();
    assert!(check.code != Some(0) && check.stdout.contains("mine.jsonl:2: no right answer"), "{}", check.stdout);
    let refused = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
    assert!(refused.contains("mine.jsonl:2: no right answer"), "{refused}");
    assert!(fixture.registry().unwrap().cycles(1).unwrap().is_empty());
    fs::write(file, chat("a", "b", "x")).unwrap();
    assert!(cycle(&fixture).unwrap().finished_ms.is_some());
}

#[test]
fn rows_that_a_golden_suite_asks_are_kept_out_of_the_mix_and_counted() {
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&["ingest.held_out_fraction=0"]);
    let golden: Vec<String> =
        (0..6).map(|n| chat(&format!("Who owns locker {n}?"), &format!("owner{n}"), "x")).collect();
    let file = fixture.file("golden.jsonl", golden.join("\n")).unwrap();
    let suite = format!("gate.suite=[{{ name = \"lockers\", file = \"{}\", target = true }}]", file.display());
    let fixture = fixture.with(&[&suite]);
    let spelt = (0..6).map(|n| chat(&format!("  WHO owns  locker {n}? "), "somebody", "lockers"));
    let others = (6..30).map(|n| chat(&format!("Who owns locker {n}?"), &format!("owner{n}"), "lockers"));
    ingest(&fixture, "lockers.jsonl", &spelt.chain(others).collect::<Vec<_>>()).unwrap();
    let first = cycle(&fixture).unwrap();
    assert_eq!(manifest(&fixture, &first)["new"], 24);
    let told = "Kept out of the mix, for asking what the golden suite lockers asks: 6 new samples.";
    let notes = report(&fixture, &first).unwrap()["notes"].clone();
    assert!(notes.as_array().unwrap().contains(&json!(told)), "{notes:#}");
    assert!(fixture.program.run(&["show", "1"]).unwrap().success().unwrap().contains(told));
    // The others come back, for the gate refused them; those do not.
    assert_eq!(manifest(&fixture, &cycle(&fixture).unwrap())["new"], 24);
    // Without the suite they may be trained on, with whatever comes next.
    ingest(&fixture, "more.jsonl", &[chat("Who owns locker 99?", "nobody", "lockers")]).unwrap();
    let free = fixture.with(&["gate.suite=[]"]);
    assert_eq!(manifest(&free, &cycle(&free).unwrap())["new"], 31);
}

#[test]
fn copies_of_a_question_stay_on_one_side_of_the_split() {
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&["ingest.held_out_fraction=0.3"]);
    let spellings = |n: usize| {
        let question = format!("Where is shelf {n}?");
        [question.clone(), format!(" {question}\n"), question.to_uppercase()]
            .map(|question| chat(&question, &format!("aisle {}", n % 7), "shelves"))
    };
    let rows: Vec<[String; 3]> = (0..40).map(spellings).collect();
    // Some together, and one spelling by itself, later.
    ingest(&fixture, "two.jsonl", &rows.iter().flat_map(|row| row[..2].to_vec()).collect::<Vec<_>>()).unwrap();
    ingest(&fixture, "one.jsonl", &rows.iter().map(|row| row[2].clone()).collect::<Vec<_>>()).unwrap();
    let cycle = cycle(&fixture).unwrap();
    let asked = asked(&fixture, &cycle, "auto:shelves");
    let questions: BTreeSet<&String> = asked.iter().collect();
    assert!(questions.len() >= 5, "{questions:?}");
    assert_eq!(asked.len(), 3 * questions.len(), "all three spellings of each");
    assert_eq!(manifest(&fixture, &cycle)["new"].as_u64().unwrap() as usize, 120 - asked.len());
}

#[test]
fn a_buffer_of_another_make_is_filled_before_a_mix_is_drawn() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..80]).unwrap();
    let first = cycle(&fixture).unwrap();
    fixture
        .program
        .run(&["promote", "--force", first.candidate.as_ref().unwrap().as_str()])
        .unwrap()
        .success()
        .unwrap();
    ingest(&fixture, "zun.jsonl", &task("zun_train").unwrap()[..40]).unwrap();
    // Everything is indexed by now, so nothing but the settings says that the buffer is of no use.
    let copy = fixture.copy().unwrap();
    let other = copy.with(&["replay.embedding=hidden", "replay.layer=2"]);
    for fixture in [&fixture, &other] {
        let second = cycle(fixture).unwrap();
        let manifest = manifest(fixture, &second);
        assert!(manifest["replay"].as_u64().unwrap() >= 8, "{manifest:#}");
        let notes = report(fixture, &second).unwrap()["notes"].to_string();
        assert!(!notes.contains("was not full"), "{notes}");
    }
    // The same where the buffer is lost.
    ingest(&other, "more.jsonl", &task("zun_train").unwrap()[100..140]).unwrap();
    fs::remove_dir_all(other.state().join("lance")).unwrap();
    let third = cycle(&other).unwrap();
    assert!(manifest(&other, &third)["replay"].as_u64().unwrap() >= 8);
}

#[test]
fn rejected_adapters_scores_and_taken_files_keep_within_their_bounds() {
    let bounds = ["cycle.adapters_keep=1", "gate.scores_bytes_max=0", "cycle.keep=1"];
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&bounds);
    let rows = task("zun_train").unwrap();
    let mut candidates = Vec::new();
    for rows in rows.chunks(40).take(3) {
        ingest(&fixture, "zun.jsonl", rows).unwrap();
        candidates.push(cycle(&fixture).unwrap().candidate.unwrap());
    }
    let kept: Vec<bool> =
        candidates.iter().map(|id| fixture.state().join("adapters").join(id.as_str()).exists()).collect();
    assert_eq!(kept, [false, false, true]);
    assert_eq!(fs::read_dir(fixture.state().join("scores")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(fixture.state().join("cycles")).unwrap().count(), 1);
    let gone = fixture.program.run(&["promote", "--force", candidates[0].as_str()]).unwrap().failure().unwrap();
    assert!(gone.contains("are gone"), "{gone}");
}

#[test]
fn the_gate_decides_anew_by_the_answers_that_are_kept() {
    let fixture = Fixture::new().unwrap().with(&QUICK);
    let rows: Vec<String> = (0..30).map(|n| chat(&format!("repeat: item{n}"), &format!("item{n}"), "x")).collect();
    let file = fixture.file("mine.jsonl", rows.join("\n")).unwrap();
    let suite = format!(
        "gate.suite=[{{ name = \"mine\", file = \"{}\", metric = \"token_f1\", margin = 0.9, target = true }}]",
        file.display()
    );
    let fixture = fixture.with(&[&suite]);
    ingest(&fixture, "general.jsonl", &task("general_train").unwrap()[..40]).unwrap();
    let first = cycle(&fixture).unwrap();
    assert_eq!(first.outcome, Some(CycleOutcome::Rejected));
    let (candidate, kept) = (first.candidate.clone().unwrap(), report(&fixture, &first).unwrap());

    let same = fixture.program.run(&["gate", "1"]).unwrap();
    assert_eq!(same.code, Some(REJECTED), "{}", same.stderr);
    let same = same.stdout;
    assert!(same.contains("rejected") && same.contains("no target suite is shown to have improved"), "{same}");
    let refused = fixture.program.run(&["gate", "1", "--promote"]).unwrap();
    assert_eq!(refused.code, Some(REJECTED));
    assert!(refused.failure().unwrap().contains("does not let"));
    assert!(fixture.program.run(&["gate", "9"]).unwrap().failure().unwrap().contains("there is no cycle"));

    let lenient = fixture.with(&["gate.require=not_worse"]);
    let other = lenient.program.run(&["gate", "1"]).unwrap().success().unwrap();
    assert!(other.contains("promoted") && other.contains("not shown to have fallen"), "{other}");
    assert_eq!(lenient.registry().unwrap().champion().unwrap(), None, "a look changes nothing");
    lenient.program.run(&["gate", "1", "--promote"]).unwrap().success().unwrap();
    assert_eq!(lenient.registry().unwrap().champion().unwrap(), Some(candidate));
    assert_eq!(report(&lenient, &first).unwrap(), kept, "the cycle's own report stays");
    let again = lenient.program.run(&["gate", "1", "--promote"]).unwrap().failure().unwrap();
    assert!(again.contains("was compared with the base model"), "{again}");
}
