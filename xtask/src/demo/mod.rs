mod random;
mod tickets;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use clap::Args;
use perennial_tests::repository;
use serde_json::Value;

use crate::output;

/// How to run the demo.
#[derive(Args)]
pub(crate) struct Options {
    /// The tiny test model instead of SmolLM2: under a minute, and nothing is downloaded
    #[arg(long)]
    tiny: bool,
    /// Leave the daemon running at the end, to try its interfaces
    #[arg(long)]
    keep: bool,
}

const FOLDER: &str = "config/examples/demo";

pub(crate) fn run(_options: &Options) -> Result<()> {
    Ok(())
}

/// Writes the training file and the golden suite of the new task.
pub(crate) fn write_data() -> Result<()> {
    let (training, suite) = tickets::rows();
    let folder = repository().join(FOLDER);
    write_lines(&folder.join("data/tickets.jsonl"), &training)?;
    write_lines(&folder.join("suites/tickets.jsonl"), &suite)
}

fn write_lines(path: &Path, rows: &[Value]) -> Result<()> {
    fs::write(path, lines(rows)).with_context(|| format!("writing {}", path.display()))?;
    output::note(format!("{}: {} rows", path.display(), rows.len()));
    Ok(())
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}
