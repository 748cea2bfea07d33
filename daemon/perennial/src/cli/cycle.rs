use std::{pin::pin, thread, time::Duration};

use anyhow::bail;
use perennial_types::CycleId;
use serde_json::Value;

use super::{
    client::Client,
    output,
    session::{Answerer, Parts, Session},
};
use crate::{
    api::{CycleRow, Status},
    http::Started,
    ports::{Cause, CycleEnd, Stop},
    service::{Signals, on_thread},
    telemetry::{CycleEnded, CycleStarted},
};

/// `perennial cycle`
#[derive(Debug, clap::Args)]
pub(super) struct Cycle {
    /// Wait for the end of a cycle that the daemon runs
    #[arg(long)]
    wait: bool,
}

/// How often the daemon is asked how far it is.
const POLL: Duration = Duration::from_millis(500);

impl Cycle {
    /// Starts a cycle at the daemon, or carries one out here.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        match session.to_write("perennial cycle")? {
            Answerer::Here(parts) => carry_out(&parts),
            Answerer::Daemon(client) => {
                let Started { cycle } = client.post("/v1/cycles", &Value::Null)?;
                if self.wait {
                    return wait(&client, cycle);
                }
                output::line(format_args!("cycle {cycle} is under way: `perennial status` shows how far it is"));
                Ok(())
            }
        }
    }
}

fn carry_out(parts: &Parts) -> anyhow::Result<()> {
    let (cycles, telemetry) = (&parts.ports.cycles, &parts.context.telemetry);
    let (cycle, cause) = match cycles.unfinished()? {
        Some(cycle) => (cycle, None),
        None => (cycles.begin(Cause::Manual)?, Some(Cause::Manual)),
    };
    telemetry.emit(CycleStarted { cycle, cause });
    let stop = Stop::default();
    let (running, told) = (cycles.clone(), stop.clone());
    let work = on_thread("cycle", move || running.run(cycle, &told));
    let end = parts.runtime.block_on(interruptible(&stop, work))??;
    telemetry.emit(CycleEnded { cycle, end: end.as_ref() });
    match end? {
        CycleEnd::Promoted(adapter) => output::line(format_args!("cycle {cycle}: {adapter} is the champion now")),
        CycleEnd::Rejected(adapter) => {
            output::line(format_args!("cycle {cycle}: the gate rejected {adapter}; `perennial show {cycle}` says why"));
        }
        CycleEnd::Stopped => bail!("stopped at a safe point: `perennial cycle` goes on with cycle {cycle}"),
    }
    Ok(())
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

fn wait(client: &Client, cycle: CycleId) -> anyhow::Result<()> {
    let mut shown = String::new();
    loop {
        let rows: Vec<CycleRow> = client.get("/v1/cycles")?;
        let row = rows.into_iter().find(|row| row.id == cycle);
        if let Some(outcome) = row.and_then(|row| row.outcome) {
            output::line(format_args!("cycle {cycle}: {}", outcome.as_str()));
            return Ok(());
        }
        let status: Status = client.get("/v1/status")?;
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
