//! Adapters on suites, outside a cycle.

use std::{fs, time::Duration};

use perennial_tests::{Fixture, repository};
use serde_json::{Value, json};

use crate::support::{cycle, ingest};

const QUICK: [&str; 4] =
    ["train.steps_max=4", "train.learning_rate=1e-3", "gate.vault_fraction=0.3", "ingest.held_out_fraction=0.5"];

fn rows(count: usize) -> Vec<String> {
    let row = |n| {
        let turns = json!([{"role": "user", "content": format!("repeat: token{n}")},
            {"role": "assistant", "content": format!("token{n}")}]);
        json!({"messages": turns, "domain": "echo"}).to_string()
    };
    (0..count).map(row).collect()
}

fn evaluated(fixture: &Fixture, arguments: &[&str]) -> Value {
    let arguments = [&["evaluate"], arguments, &["--json"]].concat();
    serde_json::from_str(&fixture.program.run(&arguments).unwrap().success().unwrap()).unwrap()
}

#[test]
fn adapters_are_compared_on_suites_of_all_kinds_beside_a_daemon_and_nothing_is_asked_twice() {
    let file = repository().join("tests/goldens/tiny/tasks/general_suite.jsonl");
    let suite = format!(
        "gate.suite=[{{ name = \"general\", file = {file:?}, metric = \"exact_match\", max_new_tokens = 32 }}]"
    );
    let fixture = Fixture::new().unwrap().with(&QUICK).with(&[&suite]);
    ingest(&fixture, "rows.jsonl", &rows(60)).unwrap();
    let candidate = cycle(&fixture).unwrap().candidate.unwrap();

    let usual = evaluated(&fixture, &["base", "1"]);
    assert_eq!(usual["adapters"], json!(["base", candidate.as_str()]));
    let suites: Vec<&str> =
        usual["suites"].as_array().unwrap().iter().map(|suite| suite["suite"].as_str().unwrap()).collect();
    assert_eq!(suites, ["general", "auto:echo"]);
    let general = &usual["suites"][0];
    let (base, theirs) = (&general["scores"][0], &general["scores"][1]);
    assert!(base["score"].as_f64().unwrap() > 0.5, "the tiny model knows its skills: {general:#}");
    assert!(base["lower"].as_f64() < base["score"].as_f64() && base["score"].as_f64() < base["upper"].as_f64());
    let difference = &general["differences"][0];
    assert_eq!(
        (difference["adapter"].as_str(), difference["against"].as_str()),
        (Some(candidate.as_str()), Some("base"))
    );
    let mean = theirs["score"].as_f64().unwrap() - base["score"].as_f64().unwrap();
    assert!((difference["mean"].as_f64().unwrap() - mean).abs() < 1e-9, "{general:#}");

    // A folder of the same files is the same adapter; a file and the vault are suites as well; items are drawn.
    let folder = fixture.state().join("adapters").join(candidate.as_str());
    let more = evaluated(
        &fixture,
        &[folder.to_str().unwrap(), "--suite", file.to_str().unwrap(), "--suite", "vault:echo", "--items", "7"],
    );
    assert_eq!(more["suites"][0]["items"], 7);
    assert_eq!(more["suites"][1]["suite"], "vault:echo");

    // Beside a daemon; the table for people; the second time without the model's answers.
    let daemon = fixture.start().unwrap();
    let table = fixture.program.run(&["evaluate", "base", candidate.as_str()]).unwrap().success().unwrap();
    assert!(table.contains("Differences, item by item") && table.contains("general"), "{table}");
    daemon.stop(Duration::from_secs(60)).unwrap();
    let scores = fixture.state().join("scores");
    let kept = |_: ()| -> Vec<_> {
        let mut files: Vec<_> = fs::read_dir(&scores).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    let before = kept(());
    evaluated(&fixture, &["base", candidate.as_str()]);
    assert_eq!(kept(()), before);

    for (arguments, says) in [
        (vec!["evaluate", "nobody"], "is no adapter"),
        (vec!["evaluate", "--suite", "nothing"], "suites are general, auto:echo, vault:echo"),
        (vec!["evaluate", "99"], "there is no cycle"),
    ] {
        let refused = fixture.program.run(&arguments).unwrap().failure().unwrap();
        assert!(refused.contains(says), "{refused}");
    }
}
