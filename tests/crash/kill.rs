//! The process is gone from one moment to the next; what it wrote stays.

use anyhow::{Context, Result, bail};
use perennial_tests::Exit;

use crate::{
    random::Random,
    scenario::{End, LIMIT, Scenario},
};

/// At most so many kills before the cycle may end.
const KILLS_MAX: u64 = 6;
/// What a failpoint's kill ends a process with.
const SIGABRT: i32 = 6;

/// Kills daemons one after the other, at named failpoints or at any moment, and lets the last one end. Returns how many were
/// killed before the cycle had ended.
pub(crate) fn run(scenario: &Scenario, seed: u64) -> Result<u64> {
    let (mut random, trial) = (Random::new(seed), scenario.trial()?);
    let mut kills = 0;
    for life in 0..1 + random.below(KILLS_MAX) {
        trial.drop_file()?;
        let at_failpoint = random.percent(75);
        let (program, time, how) = if at_failpoint {
            // A later life has less left to do, and so fewer hits: the earlier half is where most of them end.
            let hits = scenario.hits.len() as u64;
            let share = if random.percent(50) { 3 } else { 1 };
            let hit = 1 + random.below(hits / share);
            let how = format!("*=kill@{hit}");
            (trial.fixture.program.clone().with_variable("PERENNIAL_FAILPOINTS", &how), LIMIT, how)
        } else {
            let time = scenario.whole.mul_f64(random.below(1000) as f64 / 1000.0);
            (trial.fixture.program.clone(), time, format!("after {time:?}"))
        };
        let end = trial.live(&program, time).with_context(|| format!("life {life}, killed {how}"))?;
        match end {
            End::Died(Exit::Signal(SIGABRT)) if at_failpoint => kills += 1,
            End::TimeOver if !at_failpoint => kills += 1,
            End::CycleEnded => {}
            _ => bail!("life {life}, to be killed {how}: {end:?}"),
        }
        trial.check().with_context(|| format!("after life {life}, killed {how}"))?;
        if end == End::CycleEnded {
            break;
        }
    }
    trial.finish().context("the last life")?;
    Ok(kills)
}
