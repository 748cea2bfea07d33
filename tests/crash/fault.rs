//! The disk is full, or fails, for a moment: an error in place of a step.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use perennial_tests::{Exit, Program};

use crate::{
    random::Random,
    recorder::{self, InPlaceOf},
    scenario::{End, LIMIT, Scenario, Trial},
};

/// At most so many daemons that meet an error before the last one meets none.
const LIVES_MAX: u64 = 4;
/// System calls that fail in a row, at most: what tries again at once meets the error again.
const CALLS_MAX: u64 = 40;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// Lets steps of daemons fail, once or a few times in a row, and lets the last one end. Half of the errors are met at failpoints, half by
/// any system call that changes the state directory, the database's and the buffer's own too, of which an undisturbed daemon makes
/// `changes`; 0 where this machine cannot let them fail. Returns how many errors were asked for.
pub(crate) fn run(scenario: &Scenario, changes: u64, seed: u64) -> Result<u64> {
    let (mut random, trial) = (Random::new(seed), scenario.trial()?);
    let mut faults = 0;
    for life in 0..1 + random.below(LIVES_MAX) {
        trial.drop_file()?;
        let (program, how) = if changes > 0 && random.percent(50) {
            at_a_call(&trial, changes, &mut random, life)?
        } else {
            at_a_failpoint(scenario, &trial, &mut random)
        };
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

fn at_a_failpoint(scenario: &Scenario, trial: &Trial<'_>, random: &mut Random) -> (Program, String) {
    let at = random.below(scenario.hits.len() as u64) as usize;
    let name = &scenario.hits[at];
    let number = 1 + random.below(scenario.hits[..=at].iter().filter(|hit| *hit == name).count() as u64);
    let error = if random.percent(50) { "eio" } else { "enospc" };
    let how = format!("{name}={error}@{number}+{}", random.below(3));
    (trial.fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", &how), how)
}

fn at_a_call(trial: &Trial<'_>, changes: u64, random: &mut Random, life: u64) -> Result<(Program, String)> {
    let share = if random.percent(40) { 3 } else { 1 };
    let (first, count) = (1 + random.below(changes / share), 1 + random.below(CALLS_MAX));
    let errno = if random.percent(50) { EIO } else { ENOSPC };
    let fail = InPlaceOf::Fail { first, count, errno };
    let record = trial.fixture.file(&format!("record-{life}"), "")?;
    Ok((recorder::recorded(&trial.fixture.program, &record, Some(fail))?, format!("{fail:?}")))
}
