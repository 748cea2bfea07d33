//! `cargo xtask stream` in small: it teaches a sequence through the daemon, shows what is forgotten, and goes on after a kill.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use perennial_tests::{Http, wait_until};
use serde_json::Value;

/// Longer than such a stream takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

/// The program of the chores, beside the one that is tested.
fn chores() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join("xtask")).find(|path| path.is_file());
    found.context("no program `xtask`: run `cargo build --workspace` first")
}

fn stream(out: &Path, arms: &str) -> Result<Command> {
    let mut command = Command::new(chores()?);
    command.args(["stream", "--tiny", "--tasks", "tickets,forms", "--rows", "64", "--items", "16"]);
    command.args(["--arms", arms, "--out"]).arg(out).stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}

fn results(out: &Path) -> Result<Value> {
    Ok(serde_json::from_slice(&fs::read(out.join("results.json"))?)?)
}

fn arm<'a>(results: &'a Value, name: &str) -> &'a Value {
    results["arms"].as_array().unwrap().iter().find(|arm| arm["name"] == name).unwrap()
}

/// `R[t, i]`
fn cell(arm: &Value, t: usize, i: usize) -> f64 {
    arm["matrix"][t][i - 1].as_f64().unwrap()
}

/// Kills the stream in the middle of its second cycle, and leaves the daemon to itself.
fn kill_in_the_second_cycle(mut running: Child, run: &Path) -> Result<()> {
    let state = run.join("all/state");
    wait_until("the second cycle", LIMIT, || {
        ensure!(running.try_wait()?.is_none(), "the stream ended before it was killed");
        Ok(state.join("cycles/000002/manifest.json").is_file().then_some(()))
    })?;
    running.kill()?;
    running.wait()?;
    let daemon: Value = serde_json::from_slice(&fs::read(state.join("daemon.json"))?)?;
    let http = Http::new(daemon["address"].as_str().context("no address")?.parse()?);
    ensure!(http.get("/live").is_ok(), "the daemon was to go on alone");
    Ok(())
}

#[test]
fn a_stream_shows_what_is_forgotten_and_goes_on_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let general = perennial_tests::repository().join("tests/goldens/tiny/tasks/zun_suite.jsonl");
    let mut other = stream(&whole, "default").unwrap();
    assert!(other.arg("--plan").arg("--general").arg(general).status().unwrap().success(), "a plan claims no folder");
    assert!(stream(&whole, "default,naive").unwrap().status().unwrap().success());
    let all = results(&whole).unwrap();
    let (default, naive) = (arm(&all, "default"), arm(&all, "naive"));
    for arm in [default, naive] {
        for row in arm["matrix"].as_array().unwrap() {
            assert!(row.as_array().unwrap().iter().all(Value::is_number), "{row}");
        }
    }
    let lost = |arm| cell(arm, 1, 1) - cell(arm, 2, 1);
    assert!(lost(naive) >= 0.2, "naive tuning forgets tickets while it learns forms: {}", naive["matrix"]);
    assert!(cell(naive, 2, 2) - cell(naive, 0, 2) >= 0.3, "and it learns them: {}", naive["matrix"]);
    let steps = all["decides"]["steps"].as_array().unwrap();
    assert_eq!(steps[0], steps[1], "both arms take the same optimiser steps");
    assert!(
        fs::read_to_string(whole.join("results.md")).unwrap().starts_with("**Decides: ACC of `default` − `naive` = ")
    );

    let running = stream(&killed, "default").unwrap().stderr(Stdio::null()).spawn().unwrap();
    kill_in_the_second_cycle(running, &killed.join("runs/default-order1-seed0")).unwrap();
    assert!(stream(&killed, "default").unwrap().status().unwrap().success());
    assert_eq!(arm(&results(&killed).unwrap(), "default")["matrix"], default["matrix"]);
}
