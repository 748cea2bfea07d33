//! The disk is full, or fails, for a moment: an error in place of a step.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perennial_tests::Exit;

use crate::{
    random::Random,
    scenario::{End, LIMIT, Scenario},
};

/// At most so many daemons that meet an error before the last one meets none.
const LIVES_MAX: u64 = 4;

/// Lets steps of daemons fail, once or a few times in a row, and lets the last one end. Returns how many errors were asked for.
pub(crate) fn run(scenario: &Scenario, seed: u64) -> Result<u64> {
    let (mut random, trial) = (Random::new(seed), scenario.trial()?);
    let mut faults = 0;
    for life in 0..1 + random.below(LIVES_MAX) {
        trial.drop_file()?;
        let at = random.below(scenario.hits.len() as u64) as usize;
        let name = &scenario.hits[at];
        let number = 1 + random.below(scenario.hits[..=at].iter().filter(|hit| *hit == name).count() as u64);
        let error = if random.percent(50) { "eio" } else { "enospc" };
        let how = format!("{name}={error}@{number}+{}", random.below(3));
        let program = trial.fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", &how);
        // A daemon waits before it tries again; whoever restarts it does not.
        let time = (scenario.whole * 2 + Duration::from_secs(3)).min(LIMIT);
        let end = trial.live(&program, time).with_context(|| format!("life {life}, {how}"))?;
        ensure!(!matches!(end, End::Died(Exit::Signal(_))), "life {life}, {how}: {end:?}");
        faults += 1;
        trial.check().with_context(|| format!("after life {life}, {how}"))?;
        if end == End::CycleEnded {
            break;
        }
    }
    trial.finish().context("the last life")?;
    Ok(faults)
}
