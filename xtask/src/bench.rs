//! Measurements, ours beside the peer's in one run.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use perennial_tests::{Program, repository};
use serde_json::Value;

use crate::{output, shell::Shell};

#[derive(Subcommand)]
pub(crate) enum Bench {
    /// What scoring costs: a native plugin against the same function in-process, and one in Python against Python itself
    Reward,
}

/// The plugin in Python whose cases are asked.
const PYTHON_PLUGIN: &str = "plugins/python-ticket-fields";

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Reward => reward(),
    }
}

fn reward() -> Result<()> {
    Shell::cargo().args(["run", "--quiet", "--release", "-p", "perennial-reward", "--example", "call_cost"]).run()?;

    Shell::cargo().args(["build", "--quiet", "--workspace"]).run()?;
    let state = repository().join("target/bench/state");
    let program = Program::new(&repository().join("config/perennial.toml"), &state)?;
    Shell::program(&program, &["plugin", "build", PYTHON_PLUGIN]).run()?;
    let sandboxed = Shell::program(&program, &["plugin", "bench", PYTHON_PLUGIN, "--json"]).json()?;
    let native = Shell::new("python3").args(["tests/bench/reward_native.py", PYTHON_PLUGIN]).json()?;
    let rate = |measured: &Value| measured["samples_per_second"].as_f64().context("no samples_per_second");
    let (sandboxed, native) = (rate(&sandboxed)?, rate(&native)?);
    for (name, rate) in [("in the sandbox", sandboxed), ("as TRL calls it", native)] {
        output::result(format!("Python {name:<16} {rate:>10.0} samples/s {:>12.0} ns a sample", 1e9 / rate));
    }
    output::result(format!("the sandbox takes {:.1} times as long", native / sandboxed));
    Ok(())
}
