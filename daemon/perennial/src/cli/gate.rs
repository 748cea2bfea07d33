use anyhow::{anyhow, bail};
use perennial_gate::Report;
use perennial_types::{AdapterId, CycleId};

use super::{
    champion,
    exit::Exit,
    output,
    session::{Answerer, Session},
};
use crate::answers::Status;

/// `perennial gate`
#[derive(Debug, clap::Args)]
#[command(after_help = Exit::help_of(&[Exit::Done, Exit::Failed, Exit::Rejected]))]
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
    pub(super) fn run(&self, session: &Session) -> anyhow::Result<Exit> {
        let answerer = if self.promote { session.to_write("perennial gate --promote")? } else { session.to_read()? };
        let report: Report = match &answerer {
            Answerer::Daemon(client) => client.get(&format!("/v1/cycles/{}/gate", self.cycle))?,
            Answerer::Here(parts) => parts.ports.cycles.decide_anew(self.cycle)?,
        };
        if self.json {
            output::json(&report)?;
        } else {
            output::line(report.table().trim_end());
        }
        if !report.decision.promotes() {
            if self.promote {
                output::error(&anyhow!("the gate does not let {} pass", report.candidate));
            }
            return Ok(Exit::Rejected);
        }
        if !self.promote {
            return Ok(Exit::Done);
        }
        let champion = match &answerer {
            Answerer::Here(parts) => parts.context.registry.champion()?,
            Answerer::Daemon(client) => client.get::<Status>("/v1/status")?.champion,
        };
        check_compared_with(champion.as_ref(), &report)?;
        champion::promote(&answerer, &report.candidate, format!("the gate decided cycle {} anew", self.cycle))?;
        output::line(format_args!("{} is the champion now", report.candidate));
        Ok(Exit::Done)
    }
}

/// Its answers say nothing beside those of another champion.
fn check_compared_with(champion: Option<&AdapterId>, report: &Report) -> anyhow::Result<()> {
    if report.champion.as_ref() == champion {
        return Ok(());
    }
    let named = |adapter: Option<&AdapterId>| adapter.map_or_else(|| "the base model".to_owned(), AdapterId::to_string);
    bail!(
        "{} was compared with {}, and {} is in service now: give its samples back (`perennial requeue {}`), so that a new \
         cycle learns from them",
        report.candidate,
        named(report.champion.as_ref()),
        named(champion),
        report.cycle,
    );
}
