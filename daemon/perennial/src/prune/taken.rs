//! Files of the inbox that were taken in: their rows are stored, so they are kept for people alone.

use super::sizes;
use crate::{config::Config, ports::Context};

/// However small they are, so many files are kept at most: a folder of millions is slow to list.
const FILES_MAX: usize = 100_000;

pub(super) fn prune(context: &Context, config: &Config) -> anyhow::Result<usize> {
    Ok(sizes::hold(&context.state.taken(), config.ingest.taken_bytes_max, FILES_MAX)?)
}
