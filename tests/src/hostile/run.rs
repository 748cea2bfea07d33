use std::{collections::BTreeMap, sync::atomic::AtomicBool, thread, time::Duration};

use anyhow::{Context, Result};

use super::{
    Bounds,
    attack::Attack,
    input,
    probe::{DOMAIN, Seen, probe},
};
use crate::{Daemon, Exit, Fixture, SetOnDrop};

/// What came of a run.
#[derive(Debug)]
pub struct Summary {
    /// How many inputs there were of each kind.
    pub inputs: BTreeMap<&'static str, usize>,
    /// Small rows that were acknowledged meanwhile.
    pub acknowledged: u64,
    /// How long the slowest of them took.
    pub slowest_answer: Duration,
    /// The most memory that the daemon held, in bytes.
    pub memory_peak_bytes: u64,
    /// Everything that is not as it must be; empty where all is well.
    pub problems: Vec<String>,
}

/// How long the daemon may take over what lies in the inbox at the end.
const INBOX_LIMIT: Duration = Duration::from_secs(60);
/// How long the daemon may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Throws inputs `from..from + runs` of a seed at a daemon and at the program's commands. `told` hears of each beforehand.
///
/// # Errors
/// Where the run cannot be made. What the inputs bring about is in the summary.
pub fn run(
    seed: u64,
    inputs: std::ops::Range<usize>,
    bounds: Bounds,
    told: &mut dyn FnMut(usize, &str),
) -> Result<Summary> {
    let (fixture, aside) = (Fixture::new()?, Fixture::new()?);
    let mut daemon = fixture.start()?;
    let done = AtomicBool::new(false);
    let (problems, counts, seen) = thread::scope(|scope| {
        let (http, process, done) = (daemon.http, daemon.id(), &done);
        let prober = scope.spawn(move || probe(http, process, done));
        let over = SetOnDrop(done);
        let (mut problems, mut counts) = (Vec::new(), BTreeMap::new());
        let mut attack = Attack::new(&daemon, &fixture, &aside, bounds);
        for number in inputs {
            let (kind, input) = input(seed, number);
            told(number, kind);
            *counts.entry(kind).or_insert(0) += 1;
            if let Err(error) = attack.carry_out(&input) {
                problems.push(format!("{kind}, input {number} of seed {seed}, {input:?}: {error:#}"));
            }
        }
        drop(over);
        (problems, counts, prober.join())
    });
    let seen = seen.map_err(|_| anyhow::anyhow!("the probe panicked"))?;
    let mut summary = Summary {
        inputs: counts,
        acknowledged: seen.acknowledged,
        slowest_answer: seen.slowest,
        memory_peak_bytes: seen.memory_peak,
        problems,
    };
    summary.judge(&seen, bounds);
    if let Err(error) = daemon.wait_ready() {
        summary.problems.push(format!("the daemon is not ready afterwards: {error:#}"));
    }
    let empty = || Ok((fixture.waiting()? == 0).then_some(()));
    if let Err(error) = daemon.wait_for("an empty inbox", INBOX_LIMIT, empty) {
        summary.problems.push(format!("files stay in the inbox: {error:#}"));
    }
    summary.judge_end(daemon, &fixture)?;
    Ok(summary)
}

impl Summary {
    fn judge(&mut self, seen: &Seen, bounds: Bounds) {
        if seen.slowest > bounds.answer_time_max {
            self.problems
                .push(format!("a small row waited {:?}, more than {:?}", seen.slowest, bounds.answer_time_max));
        }
        if seen.memory_peak > bounds.memory_bytes_max {
            let bytes_max = bounds.memory_bytes_max;
            self.problems.push(format!("the daemon held {} bytes, more than {bytes_max}", seen.memory_peak));
        }
        if let Some(first) = seen.refused.first() {
            self.problems.push(format!("{} small rows were not taken, the first: {first}", seen.refused.len()));
        }
    }

    fn judge_end(&mut self, daemon: Daemon, fixture: &Fixture) -> Result<()> {
        let exit = daemon.stop(STOP_LIMIT).context("the daemon's end after hostile inputs")?;
        if exit != Exit::Code(0) {
            self.problems.push(format!("the daemon ended with {exit:?}"));
        }
        // A request that panics is answered all the same: the log alone is sure to tell.
        if let Some(line) = fixture.log().lines().find(|line| line.contains("panicked")) {
            self.problems.push(format!("the daemon panicked: {line}"));
        }
        let counts = fixture.registry()?.sample_counts()?;
        let stored: u64 = counts.iter().filter(|count| count.domain.as_str() == DOMAIN).map(|count| count.count).sum();
        if stored != self.acknowledged {
            self.problems.push(format!("{} small rows were acknowledged, and {stored} are stored", self.acknowledged));
        }
        Ok(())
    }
}
