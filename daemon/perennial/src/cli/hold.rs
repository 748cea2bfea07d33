//! `perennial approve` and `perennial decline`.

use anyhow::Context as _;
use perennial_types::CycleId;

use super::{
    cycle,
    exit::Exit,
    output,
    session::{Answerer, Session},
};
use crate::answers::{Answered, HoldWord, NO_REASON, Status};

/// A person's word on the candidate that waits.
#[derive(Debug, clap::Args)]
pub(super) struct HoldCommand {
    /// The cycle's number [default: the one whose candidate waits]
    cycle: Option<CycleId>,
    /// Why, for the record
    #[arg(long, default_value = NO_REASON, hide_default_value = true)]
    reason: String,
}

impl HoldCommand {
    /// Keeps the word, and carries it out where no daemon does.
    pub(super) fn run(self, session: &Session, approves: bool) -> anyhow::Result<Exit> {
        let Self { cycle, reason } = self;
        let command = if approves { "approve" } else { "decline" };
        match session.to_write(&format!("perennial {command}"))? {
            Answerer::Here(parts) => {
                let cycles = &parts.ports.cycles;
                let held = cycles.held()?.map(|held| held.cycle);
                cycles.answer_hold(named(cycle, held)?, approves, &reason)?;
                cycle::carry_out(&parts).map(|exit| if approves { exit } else { Exit::Done })
            }
            Answerer::Daemon(client) => {
                let status: Status = client.get("/v1/status")?;
                let cycle = named(cycle, status.held.map(|held| held.cycle))?;
                let Answered { cycle } = client.post(&format!("/v1/cycles/{cycle}/{command}"), &HoldWord { reason })?;
                let what = if approves { "goes into service" } else { "is rejected, and its samples are new again" };
                output::line(format_args!("the candidate of cycle {cycle} {what}"));
                Ok(Exit::Done)
            }
        }
    }
}

fn named(named: Option<CycleId>, held: Option<CycleId>) -> anyhow::Result<CycleId> {
    named.or(held).context("no candidate waits for a person's word")
}
