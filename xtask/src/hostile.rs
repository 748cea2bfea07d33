use std::env;

use anyhow::{Context as _, Result};
use clap::Args;

use crate::{output, shell::Shell};

/// How many inputs, and which.
#[derive(Args)]
pub(crate) struct Options {
    /// How many inputs
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// The same seed gives the same inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first one, to see one input again
    #[arg(long, default_value_t = 0)]
    first: usize,
}

/// Throws the generator's hostile inputs at the built program, and says what became of it.
pub(crate) fn run(options: &Options) -> Result<()> {
    output::note("Installs nothing. Starts a daemon of its own with the tiny test model.");
    let numbers = [options.runs as u64, options.seed, options.first as u64].map(|number| number.to_string());
    let own = env::current_exe().context("finding the running executable")?;
    Shell::new(own.with_file_name("hostile")).args(numbers).run()
}
