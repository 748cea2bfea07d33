//! Adapters in the forms of other programs.

use std::{fs, path::PathBuf};

use perennial_tests::{Fixture, repository};

/// Asks a model at a path, with an adapter or alone.
fn answer(fixture: &Fixture, arguments: &[&str]) -> String {
    let prompt = ["--max-tokens", "24", "--prompt", "Question one two three"];
    let arguments = [&["generate"], arguments, &prompt[..]].concat();
    fixture.program.run(&arguments).unwrap().success().unwrap()
}

#[test]
fn merged_models_answer_as_the_adapter_does() {
    let fixture = Fixture::new().unwrap().with(&["model.precision=\"f32\""]);
    let adapter = repository().join("tests/goldens/adapter_tiny").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name).display().to_string();
    let export = |format: &str, name: &str| {
        let arguments = ["export", &adapter, "--format", format, "--out", &out(name)];
        fixture.program.run(&arguments).unwrap().success().unwrap()
    };
    let (with, without) = (answer(&fixture, &["--adapter", &adapter]), answer(&fixture, &[]));
    assert_ne!(with, without);
    assert_eq!(export("merged-safetensors", "hf").trim(), out("hf"));
    export("merged-gguf", "model.gguf");
    // Both round the sum to the base's bf16, in which so small an adapter is hardly there.
    assert_eq!(answer(&fixture, &[&out("hf")]), answer(&fixture, &[&out("model.gguf")]));
    let whole = ["export", &adapter, "--format", "merged-gguf", "--dtype", "f32", "--out", &out("whole.gguf")];
    fixture.program.run(&whole).unwrap().success().unwrap();
    assert_eq!(answer(&fixture, &[&out("whole.gguf")]), with);
    export("mlx", "mlx");
    export("peft", "peft");
    assert_eq!(answer(&fixture, &["--adapter", &out("peft")]), with);
    let files = |name: &str| fs::read_dir(out(name)).unwrap().count();
    assert_eq!((files("mlx"), files("peft")), (2, 2));
}

#[test]
fn what_cannot_be_exported_is_named_with_what_to_do() {
    let fixture = Fixture::new().unwrap();
    let out = fixture.file("taken.gguf", "mine").unwrap();
    let failure = |adapter: PathBuf, rest: &[&str]| {
        let adapter = adapter.display().to_string();
        let arguments = [&["export", &adapter, "--out", out.to_str().unwrap()], rest].concat();
        fixture.program.run(&arguments).unwrap().failure().unwrap()
    };
    let golden = |name: &str| repository().join("tests/goldens").join(name);
    let there = failure(golden("adapter_tiny"), &["--format", "gguf"]);
    assert!(there.contains("is there already"), "{there}");
    assert_eq!(fs::read(&out).unwrap(), b"mine");
    fs::remove_file(&out).unwrap();
    let dora = failure(golden("adapter_dora_tiny"), &["--format", "gguf"]);
    assert!(dora.contains("adapters of the kind dora") && dora.contains("merged-gguf"), "{dora}");
    let dtype = failure(golden("adapter_tiny"), &["--format", "peft", "--dtype", "f16"]);
    assert!(dtype.contains("peft is not written as f16"), "{dtype}");
    let champion = failure("champion".into(), &["--format", "gguf"]);
    assert!(champion.contains("there is nothing at"), "{champion}");
    assert!(!out.exists());
}
