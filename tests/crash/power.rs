//! The power is cut: of what was written, only what was synced stays for certain.

use anyhow::{Context, Result, ensure};
use perennial_tests::Exit;

use crate::{
    disk::Disk,
    random::Random,
    recorder::{self, InPlaceOf},
    scenario::{End, LIMIT, Scenario},
};

/// At most so many cuts before the cycle may end.
const CUTS_MAX: u64 = 4;
/// What the recorder ends a process with.
const KILLED: End = End::Died(Exit::Signal(9));

/// How many changes a daemon makes from its start to the end of the cycle; 0 where this machine cannot record them. The record of them
/// is compared with the folder.
pub(crate) fn count_changes(scenario: &Scenario) -> Result<u64> {
    if !recorder::is_available() {
        return Ok(0);
    }
    let trial = scenario.trial()?;
    let mut disk = Disk::load(trial.fixture.state())?;
    let record = trial.fixture.file("record", "")?;
    let end = trial.live(&recorder::recorded(&trial.fixture.program, &record, None)?, LIMIT)?;
    ensure!(end == End::CycleEnded, "the recorded cycle did not end: {end:?}");
    let changes = recorder::read(&record)?;
    let count = changes.len() as u64;
    disk.apply(changes)?;
    disk.check_complete()?;
    Ok(count)
}

/// Cuts the power of daemons one after the other, each before one of its changes, and lets the last one end. Returns how
/// many cuts there were before the cycle had ended.
pub(crate) fn run(scenario: &Scenario, changes: u64, seed: u64) -> Result<u64> {
    let (mut random, trial) = (Random::new(seed), scenario.trial()?);
    let mut cuts = 0;
    for life in 0..1 + random.below(CUTS_MAX) {
        trial.drop_file()?;
        let mut disk = Disk::load(trial.fixture.state())?;
        let mut end = KILLED;
        // A process that was killed leaves names that are there and not durable, which the next one must not build upon.
        let processes = if random.percent(30) { 2 } else { 1 };
        let mut told = Vec::new();
        for process in 0..processes {
            let record = trial.fixture.file(&format!("record-{life}-{process}"), "")?;
            let share = if random.percent(40) { 3 } else { 1 };
            let kill_at = 1 + random.below(changes / share);
            told.push(kill_at);
            let program = recorder::recorded(&trial.fixture.program, &record, Some(InPlaceOf::Kill(kill_at)))?;
            end =
                trial.live(&program, LIMIT).with_context(|| format!("life {life}, killed before changes {told:?}"))?;
            ensure!(
                matches!(end, KILLED | End::CycleEnded),
                "life {life}, to be killed before changes {told:?}: {end:?}"
            );
            disk.apply(recorder::read(&record)?)?;
        }
        let context = || format!("life {life}, cut after processes that were killed before changes {told:?}");
        disk.cut(&mut random).with_context(context)?;
        cuts += u64::from(end == KILLED);
        trial.check().with_context(context)?;
        if end == End::CycleEnded {
            break;
        }
    }
    trial.finish().context("the last life")?;
    Ok(cuts)
}
