use std::{pin::pin, thread, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use perennial_drift::MANUAL;
use perennial_registry::CycleOutcome;
use perennial_types::{AdapterId, CycleId};
use serde_json::Value;

use super::{
    client::{Client, Refused},
    exit::Exit,
    output,
    session::{Answerer, Parts, Session},
};
use crate::{
    answers::{Abort, Aborting, BY_HAND, CycleRow, Started, Status},
    http::Code,
    ports::{CycleEnd, NothingToDo, Stop},
    service::{Signals, on_thread},
    telemetry::{CycleEnded, CycleStarted},
    told::sentence,
};

/// `perennial cycle`
#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help_of(&[
    Exit::Done, Exit::Failed, Exit::Rejected, Exit::NothingToDo, Exit::Interrupted, Exit::Held
]))]
pub(super) struct Cycle {
    /// Wait for the end of a cycle that the daemon runs
    #[arg(long)]
    wait: bool,
    /// Abort the cycle of this number, or the one under way, at its next safe point; its samples wait for the next
    #[arg(long, value_name = "CYCLE", num_args = 0..=1)]
    abort: Option<Option<CycleId>>,
    /// Why it is aborted, for the record
    #[arg(long, requires = "abort")]
    reason: Option<String>,
}

/// How often the daemon is asked how far it is.
const POLL: Duration = Duration::from_millis(500);

impl Cycle {
    /// Starts a cycle at the daemon, or carries one out here.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        if let Some(cycle) = self.abort {
            self.abort(session, cycle)?;
            return Ok(Exit::Done);
        }
        let ended = match session.to_write("perennial cycle")? {
            Answerer::Here(parts) => carry_out(&parts),
            Answerer::Daemon(client) => self.ask(&client),
        };
        match ended {
            Err(error) if is_nothing_to_do(&error) => {
                output::error(&error);
                Ok(Exit::NothingToDo)
            }
            ended => ended,
        }
    }

    fn ask(&self, client: &Client) -> anyhow::Result<Exit> {
        let Started { cycle } = client.post("/v1/cycles", &Value::Null)?;
        if self.wait {
            return wait(client, cycle);
        }
        output::line(format_args!("cycle {cycle} is under way: `perennial status` shows how far it is"));
        Ok(Exit::Done)
    }
}

fn is_nothing_to_do(error: &anyhow::Error) -> bool {
    error.is::<NothingToDo>()
        || error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == Code::NothingToDo.as_str())
}

fn interrupted(cycle: CycleId, how: &str) -> Exit {
    output::error(&anyhow!("cycle {cycle} {how}"));
    Exit::Interrupted
}

fn waits(cycle: CycleId, adapter: &AdapterId) -> Exit {
    let id = cycle.0;
    output::line(format_args!(
        "cycle {cycle}: {adapter} passed the gate and waits for a person's word: `perennial show {id}`, then `perennial approve {id}` or \
         `perennial decline {id}`"
    ));
    Exit::Held
}

impl Cycle {
    fn abort(&self, session: &Session, named: Option<CycleId>) -> anyhow::Result<()> {
        let reason = self.reason.clone().unwrap_or_else(|| BY_HAND.to_owned());
        match session.to_write("perennial cycle --abort")? {
            Answerer::Here(parts) => {
                let cycles = &parts.ports.cycles;
                let cycle = named_or_open(named, cycles.unfinished()?)?;
                cycles.request_abort(cycle, &reason)?;
                cycles.run(cycle, &Stop::default())?;
                output::line(format_args!("cycle {cycle} is aborted, and its samples wait for the next"));
            }
            Answerer::Daemon(client) => {
                let rows: Vec<CycleRow> = client.get("/v1/cycles")?;
                let open = rows.iter().find(|row| row.finished_ms.is_none()).map(|row| row.id);
                let cycle = named_or_open(named, open)?;
                let Aborting { cycle } = client.post(&format!("/v1/cycles/{cycle}/abort"), &Abort { reason })?;
                if self.wait {
                    return wait_for_abort(&client, cycle);
                }
                output::line(format_args!("cycle {cycle} is aborted at its next safe point"));
            }
        }
        Ok(())
    }
}

fn named_or_open(named: Option<CycleId>, open: Option<CycleId>) -> anyhow::Result<CycleId> {
    named.or(open).context("no cycle is under way")
}

fn wait_for_abort(client: &Client, cycle: CycleId) -> anyhow::Result<()> {
    loop {
        let rows: Vec<CycleRow> = client.get("/v1/cycles")?;
        if let Some(outcome) = rows.into_iter().find(|row| row.id == cycle).and_then(|row| row.outcome) {
            output::line(format_args!("cycle {cycle}: {}", outcome.as_str()));
            return Ok(());
        }
        thread::sleep(POLL);
    }
}

/// Goes on with the unfinished cycle, or begins one.
pub(super) fn carry_out(parts: &Parts) -> anyhow::Result<Exit> {
    let (cycles, telemetry) = (&parts.ports.cycles, &parts.context.telemetry);
    let (cycle, cause) = match cycles.unfinished()? {
        Some(cycle) => (cycle, None),
        None => (cycles.begin(MANUAL)?, Some(MANUAL)),
    };
    telemetry.emit(CycleStarted { cycle, cause });
    let stop = Stop::default();
    let (running, told) = (cycles.clone(), stop.clone());
    let work = on_thread("cycle", move || running.run(cycle, &told));
    let end = parts.runtime.block_on(interruptible(&stop, work))??;
    parts.context.publishing.follow_remote();
    telemetry.emit(CycleEnded { cycle, end: end.as_ref() });
    Ok(match end? {
        CycleEnd::Promoted(adapter) => {
            output::line(format_args!("cycle {cycle}: {adapter} is the champion now"));
            Exit::Done
        }
        CycleEnd::Rejected(adapter) => {
            output::line(format_args!("cycle {cycle}: the gate rejected {adapter}; `perennial show {cycle}` says why"));
            Exit::Rejected
        }
        CycleEnd::Held(adapter) => waits(cycle, &adapter),
        CycleEnd::Failed { reason, remedy } => bail!("cycle {cycle} failed: {}", sentence(&reason, &remedy)),
        CycleEnd::Aborted { reason } => interrupted(cycle, &format!("was aborted: {reason}")),
        CycleEnd::Stopped => interrupted(cycle, "stopped at a safe point: `perennial cycle` goes on with it"),
    })
}

/// Waits for work that looks at `stop`. A signal (Ctrl-C, SIGTERM, the terminal's end) asks it for the next safe point; a
/// second one leaves at once.
pub(super) async fn interruptible<T>(stop: &Stop, work: impl Future<Output = T>) -> anyhow::Result<T> {
    let mut work = pin!(work);
    let mut signals = Signals::new()?;
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            _ = signals.next() => {
                if stop.is_set() {
                    bail!("interrupted: what was cut off is made good the next time");
                }
                stop.set();
                output::note("stopping at the next safe point; Ctrl-C again leaves at once");
            }
        }
    }
}

fn wait(client: &Client, cycle: CycleId) -> anyhow::Result<Exit> {
    let mut shown = String::new();
    loop {
        let rows: Vec<CycleRow> = client.get("/v1/cycles")?;
        let row = rows.into_iter().find(|row| row.id == cycle);
        match row.and_then(|row| row.outcome) {
            None => {}
            Some(CycleOutcome::Failed { reason, remedy }) => {
                bail!("cycle {cycle} failed: {}", sentence(&reason, &remedy));
            }
            Some(CycleOutcome::Aborted { reason }) => return Ok(interrupted(cycle, &format!("was aborted: {reason}"))),
            Some(outcome @ (CycleOutcome::Promoted | CycleOutcome::Rejected)) => {
                output::line(format_args!("cycle {cycle}: {}", outcome.as_str()));
                return Ok(if outcome == CycleOutcome::Promoted { Exit::Done } else { Exit::Rejected });
            }
        }
        let status: Status = client.get("/v1/status")?;
        if let Some(held) = status.held.filter(|held| held.cycle == cycle) {
            return Ok(waits(cycle, &held.adapter));
        }
        let activity = status.activity.unwrap_or_default();
        if activity.cycle.is_none() && activity.trouble.is_some() {
            bail!("{}", activity.line());
        }
        let line = activity.line();
        if line != shown {
            output::note(&line);
            shown = line;
        }
        thread::sleep(POLL);
    }
}
