use std::{fs, path::Path};

use perennial_tests::{Fixture, Program, repository, task};
use serde_json::Value;

use crate::support::{cycle, ingest, promoted, report};

/// A short run against one plugin: enough to go through everything.
const SHORT: [&str; 6] = [
    r#"train.objectives=["sft", "grpo"]"#,
    "train.steps_max=20",
    "grpo.steps_max=4",
    "grpo.prompts_per_step=2",
    "grpo.num_generations=4",
    "grpo.max_completion_length=32",
];

/// A fixture that learns from plugins: (name, file, table of its configuration).
fn rewarded(plugins: &[(&str, &Path, &str)], settings: &[&str]) -> Fixture {
    let table = |(name, file, config): &(&str, &Path, &str)| {
        format!("{{ name = {name:?}, file = {file:?}, config = {config} }}")
    };
    let plugins: Vec<String> = plugins.iter().map(table).collect();
    let plugins = format!("reward.plugin=[{}]", plugins.join(", "));
    Fixture::new().unwrap().with(&SHORT).with(&[&plugins]).with(settings)
}

fn shipped(plugin: &str) -> std::path::PathBuf {
    repository().join("plugins").join(plugin).join(format!("{plugin}.wasm"))
}

fn manifest(fixture: &Fixture, cycle: &str) -> Value {
    let path = fixture.state().join("cycles").join(cycle).join("manifest.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_candidate_learns_from_plugins_and_the_report_says_how() {
    let (schema, length) = (shipped("json-schema"), shipped("length"));
    let plugins: [(&str, &Path, &str); 2] =
        [("tickets", &schema, "{}"), ("short", &length, "{ unit = \"words\", max = 20 }")];
    let measured = r#"gate.auto.domain.tickets={ metric = "reward", plugin = "tickets", margin = 1.0 }"#;
    let fixture = rewarded(&plugins, &[measured, "grpo.measure_kl=true"]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()).unwrap();
    // Bare prompts are learned from too, by rewards alone.
    let bare = [r#"{"prompt": "a bare question", "domain": "bare"}"#.to_owned()];
    ingest(&fixture, "bare.jsonl", &bare).unwrap();

    let ended = cycle(&fixture).unwrap();
    let folder = fixture.state().join("cycles").join(ended.id.to_string());
    let report = report(&fixture, &ended).unwrap();
    let training = &report["training"];
    assert_eq!(training["steps"], 4);
    assert_eq!(training["optimised"], serde_json::json!(["tickets", "short"]));
    assert!(training["kl"]["last"].as_f64().is_some_and(f64::is_finite), "{training:#}");
    let scored: u64 =
        training["plugins"][0]["outcomes"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(scored, 4 * 2 * 4, "every completion has an outcome: {training:#}");
    let suites = report["suites"].as_array().unwrap();
    assert!(suites.iter().any(|suite| suite["metric"] == "reward" && suite["plugin"] == "tickets"), "{suites:#?}");
    assert!(fs::read_to_string(folder.join("rewards.svg")).unwrap().contains("mean reward"));
    assert!(fs::read_to_string(folder.join("report.md")).unwrap().contains("## Learning from rewards"));

    let adapter = ended.candidate.unwrap();
    let lineage = fixture.registry().unwrap().adapter(&adapter).unwrap().unwrap().lineage;
    let plugin = &lineage.config["plugins"][0]["identity"];
    let hash = blake3_of(&schema);
    assert_eq!((plugin["name"].as_str(), plugin["hash"].as_str()), (Some("tickets"), Some(hash.as_str())));
}

#[test]
fn a_changed_plugin_counts_from_the_next_cycle() {
    let fixture = Fixture::new().unwrap();
    let file = fixture.file("plugin.wasm", fs::read(shipped("exact-match")).unwrap()).unwrap();
    let plugins: [(&str, &Path, &str); 1] = [("own", &file, "{}")];
    let rewarded = rewarded(&plugins, &["gate.require=\"not_worse\"", "gate.margin=1.0", "gate.margin_relative=0"]);
    let rows = task("tickets_train").unwrap();
    ingest(&rewarded, "one.jsonl", &rows[..60]).unwrap();
    let first = cycle(&rewarded).unwrap();
    fs::write(&file, fs::read(shipped("repetition")).unwrap()).unwrap();
    ingest(&rewarded, "two.jsonl", &rows[60..120]).unwrap();
    let second = cycle(&rewarded).unwrap();
    let plugin = |cycle: &perennial_registry::Cycle| {
        manifest(&rewarded, &cycle.id.to_string())["plugins"][0]["identity"]["plugin"].clone()
    };
    assert_eq!((plugin(&first), plugin(&second)), ("exact-match".into(), "repetition".into()));
    assert!(promoted(&first));
}

#[test]
fn a_plugin_that_fails_is_named_before_a_cycle_begins() {
    let file = shipped("exact-match");
    let plugins: [(&str, &Path, &str); 1] = [("starved", &file, "{}")];
    let fixture = rewarded(&plugins, &["reward.fuel_per_sample=20000"]);
    ingest(&fixture, "tickets.jsonl", &task("tickets_train").unwrap()[..60]).unwrap();
    let said = fixture.program.run(&["cycle"]).unwrap().failure().unwrap();
    assert!(said.contains("starved") && said.contains("fuel"), "{said}");
    assert!(fixture.registry().unwrap().cycles(1).unwrap().is_empty(), "told before a cycle is spent on it");

    let mended = fixture.with(&["reward.fuel_per_sample=500000000"]);
    let next = cycle(&mended).unwrap();
    assert!(next.candidate.is_some(), "the samples waited for the next cycle");
}

#[test]
fn a_plugin_that_is_refused_is_named_before_anything_runs() {
    let fixture = Fixture::new().unwrap();
    let whole = fs::read(shipped("exact-match")).unwrap();
    let truncated = fixture.file("truncated.wasm", &whole[..whole.len() / 2]).unwrap();
    let plugins: [(&str, &Path, &str); 1] = [("broken", &truncated, "{}")];
    let said = rewarded(&plugins, &[]).program.run(&["check"]).unwrap().stdout;
    assert!(said.contains("wrong  plugins") && said.contains("broken"), "{said}");

    let good = shipped("exact-match");
    let plugins: [(&str, &Path, &str); 1] = [("misconfigured", &good, "{ no_such_key = 1 }")];
    let said = rewarded(&plugins, &[]).program.run(&["check"]).unwrap().stdout;
    assert!(said.contains("misconfigured") && said.contains("no_such_key"), "{said}");
}

#[test]
fn every_example_loads_with_the_plugins_that_ship() {
    for example in ["chat", "maths", "tickets"] {
        let config = repository().join(format!("config/examples/rewards/{example}.toml"));
        let state = tempfile::tempdir().unwrap();
        let tiny = format!("model.base={:?}", repository().join("tests/goldens/tiny"));
        let program = Program::new(&config, state.path()).unwrap().with(&tiny);
        let said = program.run(&["check"]).unwrap().success().unwrap();
        assert!(said.contains("ok     plugins"), "{example}: {said}");
    }
}

fn blake3_of(file: &Path) -> String {
    perennial_types::Fingerprint::of(&fs::read(file).unwrap()).to_string()
}
