use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::{output, shell::Shell};

/// How a daemon is disturbed.
#[derive(Clone, Copy, ValueEnum)]
enum Sort {
    /// It is killed, at named failpoints or at any moment
    Kill,
    /// The power is cut: only what was synced stays for certain
    Power,
    /// Its disk is full or fails for a moment
    Fault,
}

/// What to try.
#[derive(Args)]
pub(crate) struct Options {
    /// So many state directories, each disturbed a few times
    #[arg(long, default_value_t = 50)]
    runs: u64,
    /// The first run's seed; run N has this and N more
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How it is disturbed
    #[arg(long, value_enum, default_value_t = Sort::Kill, conflicts_with = "power")]
    sort: Sort,
    /// Short for --sort power
    #[arg(long)]
    power: bool,
    /// The cycle learns from rewards as well
    #[arg(long)]
    rewards: bool,
}

/// Disturbs daemons until the runs are through.
pub(crate) fn run(options: &Options) -> Result<()> {
    output::note("Installs nothing. Builds the crash harness, then runs it in temporary folders.");
    let sort = match options.sort {
        _ if options.power => "power",
        Sort::Kill => "kill",
        Sort::Power => "power",
        Sort::Fault => "fault",
    };
    let (runs, seed) = (options.runs.to_string(), options.seed.to_string());
    let mut told = vec![("CRASH_SORT", sort), ("CRASH_RUNS", &runs), ("CRASH_SEED", &seed)];
    told.extend(options.rewards.then_some(("CRASH_REWARDS", "1")));
    Shell::cargo()
        .args(["test", "--workspace", "--test", "crash", "--", "--ignored", "--exact", "many", "--nocapture"])
        .envs(&told)
        .run()
}
