//! Prompts that are strings, asked as turns of a chat or as they stand: `ingest.prompt_as_chat`.

use std::{fs, path::Path};

use perennial_tests::Fixture;
use serde_json::{Value, json};

use crate::support::{cycle, ingest};

const PLAIN: &str = "ingest.prompt_as_chat=false";

fn fixture() -> Fixture {
    Fixture::new().unwrap().with(&["ingest.held_out_fraction=0.3", "train.steps_max=2", "train.learning_rate=1e-3"])
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn rendered(fixture: &Fixture, settings: &[&str], row: &Value) -> Value {
    let program = settings.iter().fold(fixture.program.clone(), |program, setting| program.with(setting));
    let file = fixture.file("row.jsonl", format!("{row}\n")).unwrap();
    let shown = program.run(&["data", "render", "--json", file.to_str().unwrap()]).unwrap().success().unwrap();
    shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["shown"]["stretches"].clone()).collect()
}

#[test]
fn a_string_is_read_as_its_turns_are_and_as_it_stands_one_key_away() {
    let fixture = fixture();
    let turns = |turns: &[(&str, &str)]| -> Value {
        turns.iter().map(|(role, content)| json!({"role": role, "content": content})).collect()
    };
    let (question, answer) = (turns(&[("user", "Shout: bo")]), turns(&[("assistant", "BO")]));
    for (strings, messages) in [
        (json!({"prompt": "Shout: bo", "completion": "BO"}), json!({"prompt": question, "completion": answer})),
        (json!({"prompt": "Shout: bo"}), json!({"prompt": question})),
        (
            json!({"prompt": "Shout: bo", "chosen": "BO", "rejected": "bo"}),
            json!({"prompt": question, "chosen": answer, "rejected": turns(&[("assistant", "bo")])}),
        ),
        (json!({"instruction": "Shout:", "input": "bo", "output": "BO"}), {
            let asked = turns(&[("user", "Shout:\nbo"), ("assistant", "BO")]);
            json!({ "messages": asked })
        }),
    ] {
        let as_turns = rendered(&fixture, &[], &strings);
        assert_eq!(as_turns, rendered(&fixture, &[], &messages), "{strings}");
        let plain = rendered(&fixture, &[PLAIN], &strings);
        assert_ne!(plain, as_turns, "{strings}");
        assert!(plain[0][0]["text"].as_str().unwrap().starts_with("Shout:"), "{plain}");
    }
}

#[test]
fn a_string_is_generated_from_as_it_is_trained() {
    let fixture = fixture();
    let answer = |settings: &[&str], arguments: &[&str]| {
        let program = settings.iter().fold(fixture.program.clone(), |program, setting| program.with(setting));
        let arguments = [&["generate", "--max-tokens", "12", "--prompt", "Shout: nubuda"], arguments].concat();
        program.run(&arguments).unwrap().success().unwrap().trim().to_owned()
    };
    assert_eq!(answer(&[], &[]), "NUBUDA");
    assert_ne!(answer(&[PLAIN], &[]), "NUBUDA");
    assert_eq!(answer(&[PLAIN], &[]), answer(&[], &["--raw"]));
}

#[test]
fn a_cycle_keeps_what_it_was_begun_with_and_a_manifest_from_before_means_plain_text() {
    let fixture = fixture();
    let row = |n: u32| json!({"prompt": format!("Repeat: {n}"), "completion": n.to_string()}).to_string();
    ingest(&fixture, "rows.jsonl", &(0..40).map(row).collect::<Vec<_>>()).unwrap();
    let checked = fixture.program.run(&["check"]).unwrap().success().unwrap();
    assert!(checked.contains("ok     prompts       a prompt that is a string is asked as a user's turn"), "{checked}");
    let ended = cycle(&fixture).unwrap();
    let folder = fixture.state().join("cycles").join(ended.id.to_string());
    assert_eq!(read(&folder.join("manifest.json"))["prompt_as_chat"], true);
    let suites = read(&folder.join("suites.json"));
    assert!(suites.as_array().unwrap().iter().any(|suite| suite["prompt_as_chat"] == true), "{suites}");

    // The folder alone says how strings are read, whatever is configured where it is trained.
    let weights = |folder: &Path| fs::read(folder.join("candidate/adapter_model.safetensors")).unwrap();
    let trained = |name: &str, change: fn(&mut Value)| {
        let copy = fixture.state().with_file_name(name);
        fs::create_dir(&copy).unwrap();
        fs::copy(folder.join("mix.parquet"), copy.join("mix.parquet")).unwrap();
        let mut manifest = read(&folder.join("manifest.json"));
        change(&mut manifest);
        fs::write(copy.join("manifest.json"), manifest.to_string()).unwrap();
        let arguments = ["train", "--cycle", copy.to_str().unwrap()];
        fixture.program.clone().with(PLAIN).run(&arguments).unwrap().success().unwrap();
        weights(&copy)
    };
    let first = weights(&folder);
    assert_eq!(trained("same", |_| {}), first);
    let before = trained("before", |manifest| {
        manifest.as_object_mut().unwrap().remove("prompt_as_chat");
    });
    assert_ne!(before, first);
}
