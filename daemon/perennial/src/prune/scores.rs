//! Answers that were scored, a folder for each model that was asked. Whatever goes is asked again when it is needed.

use super::sizes;
use crate::{config::Config, ports::Context};

pub(super) fn prune(context: &Context, config: &Config) -> anyhow::Result<usize> {
    Ok(sizes::hold(&context.state.scores(), config.gate.scores_bytes_max, usize::MAX)?)
}
