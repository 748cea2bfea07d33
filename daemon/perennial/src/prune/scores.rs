//! Answers that were scored, a folder for each model that was asked. Whatever goes is asked again when it is needed.

use super::sizes;
use crate::{config::Config, ports::Context};

pub(super) fn prune(context: &Context, config: &Config) -> anyhow::Result<usize> {
    let entries = sizes::entries(&context.state.scores())?;
    let gone = sizes::beyond(&entries, config.gate.scores_bytes_max, usize::MAX);
    for entry in gone {
        sizes::remove(&entry.path)?;
    }
    Ok(gone.len())
}
