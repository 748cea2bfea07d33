//! Throws hostile inputs at the built program, as many as one likes: what `cargo xtask hostile` runs.

use std::{
    env,
    io::{Write as _, stdout},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use perennial_tests::hostile::{Bounds, run};

const BOUNDS: Bounds = Bounds {
    answer_time_max: Duration::from_secs(1),
    memory_bytes_max: 2 << 30,
    command_time_max: Duration::from_secs(60),
};

/// `hostile RUNS SEED FIRST`: so many inputs of a seed, from the first on.
fn main() -> Result<()> {
    let mut numbers = env::args().skip(1).map(|argument| argument.parse::<u64>().context(argument));
    let mut next = |otherwise: u64| numbers.next().unwrap_or(Ok(otherwise));
    let (runs, seed, first) = (next(1000)? as usize, next(1)?, next(0)? as usize);
    let mut out = stdout().lock();
    let mut told = |number: usize, kind: &str| {
        // Who closed the pipe does not want to know.
        let _ = writeln!(out, "{number} {kind}");
    };
    let summary = run(seed, first..first + runs, BOUNDS, &mut told)?;
    writeln!(stdout(), "{summary:#?}")?;
    match summary.problems.len() {
        0 => Ok(()),
        problems => bail!("{problems} problems"),
    }
}
