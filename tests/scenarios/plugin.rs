use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use perennial_tests::{Finished, Fixture, repository};
use serde_json::Value;

fn plugin(fixture: &Fixture, arguments: &[&str]) -> Finished {
    fixture.program.run(&[&["plugin"], arguments].concat()).unwrap()
}

fn shipped(name: &str) -> String {
    repository().join("plugins").join(name).display().to_string()
}

/// A new project in a folder of the test's own.
fn begun(fixture: &Fixture, lang: &str) -> PathBuf {
    let dir = fixture.state().with_file_name(format!("my-{lang}"));
    plugin(fixture, &["new", dir.to_str().unwrap(), "--lang", lang]).success().unwrap();
    dir
}

/// Whether Rust can compile for the sandbox without fetching anything. What `perennial plugin build` does otherwise takes too
/// long for a test.
fn rust_compiles_for_the_sandbox() -> bool {
    let arguments = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
    let libraries = Command::new("rustc").args(arguments).output().ok();
    let there = libraries.is_some_and(|found| Path::new(String::from_utf8_lossy(&found.stdout).trim()).is_dir());
    if !there {
        skipped("Rust's wasm32-unknown-unknown");
    }
    there
}

#[allow(clippy::print_stderr, reason = "who reads a green test has to know what it did not test")]
fn skipped(missing: &str) {
    eprintln!("SKIPPED: {missing} does not work here");
}

/// Whether these programs run here. A test that cannot do without says so and ends.
fn are_there(programs: &[&[&str]]) -> bool {
    let runs = |program: &&[&str]| {
        let [name, arguments @ ..] = program else { return false };
        let silent = Command::new(name).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        silent.is_ok_and(|status| status.success())
    };
    let missing: Vec<String> =
        programs.iter().filter(|program| !runs(program)).map(|program| program.join(" ")).collect();
    if !missing.is_empty() {
        skipped(&missing.join(", "));
    }
    missing.is_empty()
}

const PYTHON: &[&[&str]] = &[&["python3", "-m", "venv", "--help"], &["python3", "-m", "pip", "--version"]];
const JS: &[&[&str]] = &[&["node", "--version"], &["npm", "--version"]];

/// Runs a project's own tests, without the sandbox.
fn native_tests(dir: &Path, command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).current_dir(dir).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {said}", dir.display());
}

/// Builds a project, and holds what came of it to the project's cases.
fn builds_and_keeps_its_cases(fixture: &Fixture, dir: &Path) {
    let dir = dir.to_str().unwrap();
    let component = plugin(fixture, &["build", dir]).success().unwrap();
    let inspected = plugin(fixture, &["inspect", component.trim(), "--json"]).success().unwrap();
    let inspected: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!((inspected["wasi"].as_str(), inspected["refusal"].as_str()), (Some("denied"), None), "{inspected:#}");
    plugin(fixture, &["test", dir]).success().unwrap();
}

#[test]
fn sdks_pass_their_own_tests() {
    if are_there(PYTHON) {
        native_tests(&repository().join("sdk/python"), &["python3", "-m", "unittest"]);
    }
    if are_there(JS) {
        native_tests(&repository().join("sdk/js"), &["node", "--test"]);
    }
}

#[test]
fn new_project_in_rust_is_built_and_keeps_its_cases() {
    if !rust_compiles_for_the_sandbox() {
        return;
    }
    let fixture = Fixture::new().unwrap();
    let dir = begun(&fixture, "rust");
    // Beside this workspace's own, so that only the first run compiles what the project depends on.
    let target = env::current_exe().unwrap().ancestors().nth(3).unwrap().join("plugin-template");
    let build = ["plugin", "build", dir.to_str().unwrap()];
    let built = fixture.program.command(&build).env("CARGO_TARGET_DIR", target).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    plugin(&fixture, &["test", dir.to_str().unwrap()]).success().unwrap();
}

#[test]
fn new_project_in_python_is_built_and_keeps_its_cases() {
    if !are_there(PYTHON) {
        return;
    }
    let fixture = Fixture::new().unwrap();
    let dir = begun(&fixture, "python");
    native_tests(&dir, &["python3", "-m", "unittest"]);
    builds_and_keeps_its_cases(&fixture, &dir);
}

#[test]
fn new_project_in_javascript_is_built_and_keeps_its_cases() {
    if !are_there(JS) {
        return;
    }
    let fixture = Fixture::new().unwrap();
    let dir = begun(&fixture, "js");
    native_tests(&dir, &["npm", "test"]);
    builds_and_keeps_its_cases(&fixture, &dir);
}

#[test]
fn shipped_plugin_in_python_keeps_its_cases() {
    if !are_there(PYTHON) {
        return;
    }
    let dir = shipped("python-ticket-fields");
    native_tests(Path::new(&dir), &["python3", "-m", "unittest"]);
    builds_and_keeps_its_cases(&Fixture::new().unwrap(), Path::new(&dir));
}

#[test]
fn shipped_plugin_in_javascript_keeps_its_cases() {
    if !are_there(JS) {
        return;
    }
    let dir = shipped("js-markdown");
    native_tests(Path::new(&dir), &["npm", "test"]);
    builds_and_keeps_its_cases(&Fixture::new().unwrap(), Path::new(&dir));
}

#[test]
fn cases_say_what_is_wrong_and_fail() {
    let fixture = Fixture::new().unwrap();
    let cases = fixture.state().with_file_name("cases");
    fs::create_dir(&cases).unwrap();
    let case = r#"{"prompt": "2 + 2?", "reference": "4", "completions": [
        {"text": "4", "expect": {"reward": 1}}, {"text": "5", "expect": {"reward": 1}}]}"#;
    fs::write(cases.join("sums.json"), case).unwrap();
    let tested = plugin(&fixture, &["test", &shipped("exact-match"), "--cases", cases.to_str().unwrap()]);
    let wrong = "wrong  sums.json, completion 1: the reward is 0, and 1 is expected";
    assert!(tested.stdout.contains(wrong), "{}", tested.stdout);
    assert!(tested.failure().unwrap().contains("1 of 2 completions are not as expected"));
}

#[test]
fn plugin_is_inspected_measured_and_profiled() {
    let fixture = Fixture::new().unwrap();
    let inspected = plugin(&fixture, &["inspect", &shipped("exact-match")]).success().unwrap();
    for line in
        ["interface  perennial:reward@0.1.0", "wasi       not needed", "sandbox    takes it", "plugin     exact-match"]
    {
        assert!(inspected.contains(line), "{inspected}");
    }
    let bench = ["bench", &shipped("exact-match"), "--seconds", "0.1", "--json"];
    let measured: Value = serde_json::from_str(&plugin(&fixture, &bench).success().unwrap()).unwrap();
    for figure in ["calls_per_second", "p50_microseconds", "p99_microseconds", "fuel_per_sample", "memory_bytes_peak"] {
        assert!(measured[figure].as_f64().is_some_and(|value| value > 0.0), "{measured:#}");
    }
    let out = fixture.file("profile.json", "").unwrap();
    let profile = ["profile", &shipped("exact-match"), "--seconds", "0.2", "--out", out.to_str().unwrap()];
    plugin(&fixture, &profile).success().unwrap();
    let profile: Value = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    assert!(profile["threads"].is_array(), "{profile:#}");
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    let fixture = Fixture::new().unwrap();
    let text = fixture.file("notes.wasm", "not WASM at all").unwrap();
    let error = plugin(&fixture, &["inspect", text.to_str().unwrap()]).failure().unwrap();
    assert!(error.contains("notes.wasm") && error.contains("not a valid WASM file"), "{error}");
    let unbuilt = begun(&fixture, "rust");
    let error = plugin(&fixture, &["test", unbuilt.to_str().unwrap()]).failure().unwrap();
    assert!(error.contains("perennial plugin build"), "{error}");
}

#[test]
fn missing_toolchain_is_named_with_the_command_that_installs_it() {
    let fixture = Fixture::new().unwrap();
    let cache = fixture.state().with_file_name("cache");
    for (lang, command) in
        [("python", "apt-get install python3"), ("js", "apt-get install nodejs npm"), ("rust", "rustup")]
    {
        let dir = begun(&fixture, lang);
        let mut build = fixture.program.command(&["plugin", "build", dir.to_str().unwrap()]);
        let output = build.env("PATH", "").env("XDG_CACHE_HOME", &cache).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(command), "{lang}: {error}");
    }
}
