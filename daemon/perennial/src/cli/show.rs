use perennial_types::{AdapterId, CycleId};
use serde_json::Value;

use super::{
    output,
    session::{Answerer, Session},
    table::{NOTHING, Table, or_nothing, time},
};
use crate::{
    answers::{AdapterRow, CycleRow},
    api,
};

/// `perennial show`
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// An adapter's id, or a cycle's number
    id: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    /// Prints the report of an adapter's cycle or of a cycle, or all that is known as JSON.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        // Six digits name a cycle, twelve an adapter; no text can be both.
        let answer = match self.id.parse::<AdapterId>() {
            Ok(id) => adapter(session, &id)?,
            Err(not_an_adapter) => match self.id.parse::<CycleId>() {
                Ok(id) => cycle(session, id)?,
                Err(not_a_cycle) => anyhow::bail!("{not_an_adapter}; {not_a_cycle}"),
            },
        };
        match answer.get("report").and_then(Value::as_str) {
            Some(report) if !self.json => output::line(report.trim_end()),
            _ => output::json(&answer)?,
        }
        Ok(())
    }
}

fn adapter(session: &Session, id: &AdapterId) -> anyhow::Result<Value> {
    match session.to_read()? {
        Answerer::Daemon(client) => client.get(&format!("/v1/adapters/{id}")),
        Answerer::Here(parts) => {
            Ok(serde_json::to_value(api::adapter(&parts.context.state, &parts.context.registry, id)?)?)
        }
    }
}

fn cycle(session: &Session, id: CycleId) -> anyhow::Result<Value> {
    match session.to_read()? {
        Answerer::Daemon(client) => client.get(&format!("/v1/cycles/{id}")),
        Answerer::Here(parts) => {
            Ok(serde_json::to_value(api::cycle(&parts.context.state, &parts.context.registry, id)?)?)
        }
    }
}

/// `perennial cycles`
pub(super) fn cycles(session: &Session, json: bool) -> anyhow::Result<()> {
    let rows: Vec<CycleRow> = match session.to_read()? {
        Answerer::Daemon(client) => client.get("/v1/cycles")?,
        Answerer::Here(parts) => api::cycles(&parts.context.registry)?,
    };
    if json {
        return output::json(&rows);
    }
    let mut table = Table::new(["CYCLE", "BEGUN", "CAUSE", "STATE", "ENDED", "CANDIDATE"]);
    for row in &rows {
        table.row([
            row.id.to_string(),
            time(row.started_ms),
            row.reason.clone(),
            state_of(row),
            or_nothing(row.finished_ms.map(time)),
            or_nothing(row.candidate.as_ref()),
        ]);
    }
    output::line(table);
    Ok(())
}

pub(super) fn state_of(row: &CycleRow) -> String {
    match (&row.outcome, row.phase) {
        (Some(outcome), _) => outcome.as_str().to_owned(),
        (None, Some(phase)) => format!("under way, {phase}"),
        (None, None) => "under way".to_owned(),
    }
}

/// `perennial adapters`
pub(super) fn adapters(session: &Session, json: bool) -> anyhow::Result<()> {
    let rows: Vec<AdapterRow> = match session.to_read()? {
        Answerer::Daemon(client) => client.get("/v1/adapters")?,
        Answerer::Here(parts) => api::adapters(&parts.context.registry)?,
    };
    if json {
        return output::json(&rows);
    }
    let mut table = Table::new(["ADAPTER", "STATE", "GATE", "CYCLE", "PARENT", "CREATED"]);
    for row in &rows {
        let gate = match row.gate_passed {
            Some(true) => "passed",
            Some(false) => "failed",
            None => NOTHING,
        };
        let state = if row.forced { format!("{}, forced", row.state.as_str()) } else { row.state.as_str().to_owned() };
        let (cycle, parent) = (row.cycle.to_string(), or_nothing(row.parent.as_ref()));
        table.row([row.id.to_string(), state, gate.to_owned(), cycle, parent, time(row.created_ms)]);
    }
    output::line(table);
    Ok(())
}
