use anyhow::bail;
use perennial_gate::Report;
use perennial_types::CycleId;
use serde_json::Value;

use super::{
    output,
    session::{Answerer, Session},
};
use crate::{api::Status, cycle, http};

/// `perennial gate`
#[derive(Debug, clap::Args)]
pub(super) struct Gate {
    /// The cycle's number
    cycle: CycleId,
    /// Put the candidate in service if the gate lets it pass
    #[arg(long)]
    promote: bool,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

impl Gate {
    /// Prints what the gate says of an ended cycle's candidate under the configuration of now.
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<()> {
        let report: Report = match session.to_read()? {
            Answerer::Daemon(client) => client.get(&format!("/v1/cycles/{}/gate", self.cycle))?,
            Answerer::Here(parts) => {
                let context = &parts.context;
                cycle::decide_anew(&context.config.current(), &context.state, &context.registry, self.cycle)?
            }
        };
        if self.json {
            output::json(&report)?;
        } else {
            output::line(report.table().trim_end());
        }
        if !self.promote {
            return Ok(());
        }
        if !report.decision.promotes() {
            bail!("the gate does not let {} pass", report.candidate);
        }
        let reason = format!("the gate decided cycle {} anew", self.cycle);
        match session.to_write("perennial gate --promote")? {
            Answerer::Here(parts) => {
                compared_with(&report, parts.context.registry.champion()?.map(|champion| champion.to_string()))?;
                parts.ports.cycles.promote(&report.candidate, &reason)?;
            }
            Answerer::Daemon(client) => {
                let status: Status = client.get("/v1/status")?;
                compared_with(&report, status.champion.map(|champion| champion.to_string()))?;
                let path = format!("/v1/adapters/{}/promote", report.candidate);
                let _: Value = client.post(&path, &http::Promote { reason })?;
            }
        }
        output::line(format_args!("{} is the champion now", report.candidate));
        Ok(())
    }
}

/// Its answers say nothing beside those of another champion.
fn compared_with(report: &Report, champion: Option<String>) -> anyhow::Result<()> {
    if report.champion.as_ref().map(ToString::to_string) == champion {
        return Ok(());
    }
    let named = |champion: Option<String>| champion.unwrap_or_else(|| "the base model".to_owned());
    bail!(
        "{} was compared with {}, and {} is in service now: give its samples back (`perennial requeue {}`), so that a new \
         cycle learns from them",
        report.candidate,
        named(report.champion.as_ref().map(ToString::to_string)),
        named(champion),
        report.cycle,
    );
}
