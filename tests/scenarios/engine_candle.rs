//! Models of families that the program's own decoder does not know.

use std::{fs, path::Path};

use perennial_tests::{Fixture, repository};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The tiny model as a Granite whose multipliers change nothing: it computes what a Llama does, and no Llama claims it.
fn granite(change: impl FnOnce(&mut Map<String, Value>)) -> TempDir {
    let tiny = repository().join("tests/goldens/tiny");
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"] {
        fs::copy(tiny.join(file), folder.path().join(file)).unwrap();
    }
    let mut config: Map<String, Value> = serde_json::from_slice(&fs::read(tiny.join("config.json")).unwrap()).unwrap();
    let head_dim = config["head_dim"].as_f64().unwrap();
    config.insert("model_type".to_owned(), json!("granite"));
    config.insert("architectures".to_owned(), json!(["GraniteForCausalLM"]));
    config.insert("attention_multiplier".to_owned(), json!(head_dim.sqrt().recip()));
    change(&mut config);
    fs::write(folder.path().join("config.json"), Value::Object(config).to_string()).unwrap();
    folder
}

fn ask(fixture: &Fixture, folder: &Path, arguments: &[&str]) -> String {
    let of_model = ["generate", "--engine", "candle", folder.to_str().unwrap(), "--max-tokens", "24"];
    fixture.program.run(&[&of_model, arguments].concat()).unwrap().success().unwrap()
}

fn refused(fixture: &Fixture, arguments: &[&str]) -> String {
    fixture.program.run(&[&["generate", "--prompt", "x"], arguments].concat()).unwrap().failure().unwrap()
}

#[test]
fn candle_says_what_the_own_decoder_says_with_the_same_weights() {
    let fixture = Fixture::new().unwrap().with(&["model.precision=f32"]);
    let granite = granite(|_| {});
    for arguments in [
        &["--prompt", "Shout: nubuda"][..],
        &["--prompt", "JSON: name ruka, colour red, size big", "--temperature", "1.5", "--top-p", "0.9", "--seed", "7"],
        &["--prompt", "Repeat: boat", "--system", "Be short.", "--stop", "a"],
        &["--prompt", "once", "--raw"],
    ] {
        let native = [&["generate", "--max-tokens", "24"], arguments].concat();
        let native = fixture.program.run(&native).unwrap().success().unwrap();
        assert_eq!(ask(&fixture, granite.path(), arguments), native, "{arguments:?}");
    }
    assert_eq!(ask(&fixture, granite.path(), &["--prompt", "Shout: nubuda"]).trim(), "NUBUDA");
}

#[test]
fn what_it_does_not_do_is_refused_by_name() {
    let fixture = Fixture::new().unwrap();
    let granite = granite(|config| drop(config.insert("residual_dropout_layers".to_owned(), json!(3))));
    let folder = granite.path().to_str().unwrap();
    let error = refused(&fixture, &["--engine", "candle", folder]);
    assert!(error.contains("residual_dropout_layers"), "{error}");
    let error = refused(&fixture, &["--engine", "candle", folder, "--adapter", "champion"]);
    assert!(error.contains("--adapter champion") && error.contains("--engine native"), "{error}");
    let error = refused(&fixture, &["--engine", "candle"]);
    assert!(error.contains("`llama`") && error.contains("granite"), "{error}");
    let error = refused(&fixture, &[folder]);
    assert!(error.contains("--engine candle"), "{error}");
}

#[test]
fn a_prompt_beyond_the_context_is_refused_with_its_length() {
    let fixture = Fixture::new().unwrap();
    let granite = granite(|config| drop(config.insert("max_position_embeddings".to_owned(), json!(16))));
    let long = "word ".repeat(64);
    let arguments = ["--engine", "candle", granite.path().to_str().unwrap(), "--prompt", &long];
    let error = fixture.program.run(&[&["generate"][..], &arguments].concat()).unwrap().failure().unwrap();
    assert!(error.contains("at most 15"), "{error}");
}

#[test]
fn a_teachers_answers_are_rows_that_ingest_takes() {
    let fixture = Fixture::new().unwrap();
    let granite = granite(|_| {});
    let dir = tempfile::tempdir().unwrap();
    let (asked, taught) = (dir.path().join("asked.jsonl"), dir.path().join("taught.jsonl"));
    let message = |text: &str| json!([{ "role": "user", "content": text }]);
    let rows = [
        json!({ "prompt": message("Shout: nubuda"), "domain": "shouts", "id": "a" }),
        json!({ "prompt": "Shout: tila", "completion": "a wrong answer" }),
        json!({ "text": "nothing is asked" }),
    ];
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    fs::write(&asked, lines.join("\n") + "\nno row\n").unwrap();
    for engine in [&["--engine", "candle", granite.path().to_str().unwrap()][..], &["--engine", "native"]] {
        let arguments = [&["generate", "--max-tokens", "24", "--jsonl", asked.to_str().unwrap()], engine].concat();
        let answers = fixture.program.run(&arguments).unwrap().success().unwrap();
        let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), 2, "{answers:?}");
        assert_eq!(answers[0]["messages"][1], json!({ "role": "assistant", "content": "NUBUDA" }));
        assert_eq!((&answers[0]["domain"], &answers[0]["id"]), (&json!("shouts"), &json!("a")));
        assert_eq!(answers[1], json!({ "prompt": "Shout: tila", "completion": "TILA" }));
        let lines: Vec<String> = answers.iter().map(Value::to_string).collect();
        fs::write(&taught, lines.join("\n")).unwrap();
        let ingested = fixture.program.run(&["ingest", taught.to_str().unwrap(), "--strict"]).unwrap();
        ingested.success().unwrap();
    }
    let nothing = dir.path().join("nothing.jsonl");
    fs::write(&nothing, r#"{"text": "nothing is asked"}"#).unwrap();
    let arguments = ["generate", "--jsonl", nothing.to_str().unwrap()];
    let error = fixture.program.run(&arguments).unwrap().failure().unwrap();
    assert!(error.contains("row 1: it has no prompt") && error.contains("no row"), "{error}");
}
