//! `under-unit UNIT COMMAND…` runs a command under the rules that a systemd unit puts on its service.

use std::{env, fs, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, bail};
use perennial_tests::UnitRules;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let (Some(unit), Some(program)) = (arguments.next(), arguments.next()) else {
        bail!("usage: under-unit UNIT COMMAND…");
    };
    let text = fs::read_to_string(&unit).with_context(|| format!("reading {}", unit.display()))?;
    UnitRules::parse(&text)?.apply()?;
    // Comes back only where the command cannot be started.
    Err(Command::new(program).args(arguments).exec()).context("the command cannot be started")
}
