use anyhow::bail;
use perennial_types::{AdapterId, CycleId};
use serde_json::Value;

use super::{
    output,
    session::{Answerer, Session},
};
use crate::answers;

/// `perennial promote`
#[derive(Debug, clap::Args)]
pub(super) struct Promote {
    /// The adapter's id
    adapter: AdapterId,
    /// Yes, without the gate's word
    #[arg(long)]
    force: bool,
    /// Why, for the record
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

impl Promote {
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        let Self { adapter, force, reason } = self;
        if !force {
            bail!("promoting is the gate's to decide: to put {adapter} in service without its word, add --force");
        }
        promote(&session.to_write("perennial promote")?, &adapter, reason)?;
        output::line(format_args!("{adapter} is the champion now, by hand"));
        Ok(())
    }
}

/// Puts an adapter in service, and lets the targets of publishing follow.
pub(super) fn promote(answerer: &Answerer, adapter: &AdapterId, reason: String) -> anyhow::Result<()> {
    match answerer {
        Answerer::Here(parts) => {
            parts.ports.cycles.promote(adapter, &reason)?;
            parts.context.publishing.follow_remote();
        }
        Answerer::Daemon(client) => {
            let _: Value = client.post(&format!("/v1/adapters/{adapter}/promote"), &answers::Promote { reason })?;
        }
    }
    Ok(())
}

/// `perennial rollback`
#[derive(Debug, clap::Args)]
pub(super) struct Rollback {
    /// The adapter to go back to [default: the champion before this one]
    #[arg(long, value_name = "ADAPTER")]
    to: Option<AdapterId>,
}

impl Rollback {
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        let champion = match session.to_write("perennial rollback")? {
            Answerer::Here(parts) => {
                let champion = parts.ports.cycles.roll_back(self.to.as_ref())?;
                parts.context.publishing.follow_remote();
                champion
            }
            Answerer::Daemon(client) => {
                let answers::RollBack { to } = client.post("/v1/rollback", &answers::RollBack { to: self.to })?;
                to
            }
        };
        match champion {
            Some(champion) => output::line(format_args!("{champion} is the champion again")),
            None => output::line("the base model alone is in service again"),
        }
        Ok(())
    }
}

/// `perennial requeue`
pub(super) fn requeue(session: &Session, cycle: CycleId) -> anyhow::Result<()> {
    let samples = match session.to_write("perennial requeue")? {
        Answerer::Here(parts) => parts.ports.cycles.requeue(cycle)?,
        Answerer::Daemon(client) => {
            let answers::Requeued { samples } = client.post(&format!("/v1/cycles/{cycle}/requeue"), &Value::Null)?;
            samples
        }
    };
    output::line(format_args!("{samples} samples of cycle {cycle} wait again"));
    Ok(())
}
