use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{
    output,
    shell::{Shell, target_folder},
};

/// What is fuzzed, and for how long.
#[derive(Args)]
pub(crate) struct Options {
    /// What is fed with bytes
    target: Target,
    /// How many executions
    #[arg(long, default_value_t = 10_000_000)]
    runs: u64,
    /// End after so many seconds, whatever the executions; 0: never
    #[arg(long, default_value_t = 0)]
    seconds: u64,
}

/// The targets of `fuzz/fuzz_targets`.
#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Target {
    /// Sources of rows
    Rows,
    /// Chat templates
    Templates,
    /// Models in one file
    Gguf,
    /// Adapters
    Safetensors,
    /// Reward plugins
    PluginBytes,
    /// The schemas of reward plugins
    Schemas,
}

/// The most that one execution may take, in seconds and in MiB, before it counts as found.
const EXECUTION_SECONDS_MAX: u32 = 20;
const EXECUTION_MIB_MAX: u32 = 2048;

/// Feeds a target until it breaks or has had its executions.
pub(crate) fn run(options: &Options) -> Result<()> {
    output::note("Installs cargo-fuzz into target/cargo-fuzz, and builds what is fuzzed with a sanitizer.");
    let root = target_folder()?.join("cargo-fuzz");
    let tool = root.join("bin/cargo-fuzz");
    if !tool.is_file() {
        let root = root.to_string_lossy();
        Shell::cargo().args(["install", "--locked", "--root", &root, "cargo-fuzz"]).run()?;
    }
    let name = options.target.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let limits = [
        format!("-runs={}", options.runs),
        format!("-max_total_time={}", options.seconds),
        format!("-timeout={EXECUTION_SECONDS_MAX}"),
        format!("-rss_limit_mb={EXECUTION_MIB_MAX}"),
    ];
    // The sanitizer is a nightly option of the compiler; this lets the stable one take it.
    Shell::new(&tool)
        .args(["fuzz", "run", "--fuzz-dir", "fuzz", &name, "--"])
        .args(limits)
        .envs(&[("RUSTC_BOOTSTRAP", "1")])
        .run()
}
