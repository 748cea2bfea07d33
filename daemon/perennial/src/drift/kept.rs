//! What was measured, kept so that a restart does not lose it.

use perennial_durable as durable;

use crate::{answers::Drift, cycle_folder::read_json, state::StateDir};

const FILE: &str = "last.json";

/// Keeps what was measured last.
pub(super) fn keep(state: &StateDir, drift: &Drift) -> anyhow::Result<()> {
    durable::create_folder_durably(&state.drift())?;
    Ok(durable::write_durably(&state.drift().join(FILE), &serde_json::to_vec_pretty(drift)?)?)
}

/// What was measured last; nothing where it never was, or was kept by another version.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn last(state: &StateDir) -> anyhow::Result<Drift> {
    let path = state.drift().join(FILE);
    match read_json(&path) {
        Err(error) if error.is::<serde_json::Error>() => {
            tracing::warn!(path = %path.display(), %error, "what was measured of drift cannot be read: it is measured anew");
            Ok(Drift::default())
        }
        found => Ok(found?.unwrap_or_default()),
    }
}
