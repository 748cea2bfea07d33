//! Folders that would only grow, each held to its bound. Nothing goes that is or was in service, or that a cycle under way
//! works with; what is known of the rest stays in the registry. A folder that cannot be pruned is told and tried again.

mod adapters;
mod cycles;
mod scores;
mod sizes;
mod taken;

use anyhow::Context as _;
use tracing::{debug, warn};

use crate::{config::Config, ports::Context, told::told};

/// A folder with a bound.
struct Bound {
    /// The folder, in the state directory.
    folder: &'static str,
    /// Removes what is beyond the bound, and says how many entries that were.
    prune: fn(&Context, &Config) -> anyhow::Result<usize>,
}

const CYCLES: Bound = Bound { folder: "cycles", prune: cycles::prune };
const ADAPTERS: Bound = Bound { folder: "adapters", prune: adapters::prune };
const SCORES: Bound = Bound { folder: "scores", prune: scores::prune };
const TAKEN: Bound = Bound { folder: "inbox/taken", prune: taken::prune };

/// All of them, once a cycle has ended.
pub(crate) fn after_cycle(context: &Context, config: &Config) {
    prune(context, config, &[CYCLES, ADAPTERS, SCORES, TAKEN]);
}

/// What the inbox adds to, once files were moved there.
pub(crate) fn after_files_were_taken(context: &Context, config: &Config) {
    prune(context, config, &[TAKEN]);
}

fn prune(context: &Context, config: &Config, bounds: &[Bound]) {
    for Bound { folder, prune } in bounds {
        match prune(context, config).with_context(|| format!("{folder} cannot be pruned")) {
            Ok(removed) => debug!(folder, removed, "pruned"),
            Err(error) => warn!(folder, error = told(&error), "a folder that only grows cannot be pruned"),
        }
    }
}
