//! Defaults that are not what they were when the last cycle ran.

use perennial_registry::Registry;

use crate::config::Loaded;

/// What to say of a replay policy that is another one than the last cycle's, and that nobody chose.
///
/// # Errors
/// Where the registry fails.
pub(super) fn policy(loaded: &Loaded, registry: &Registry) -> anyhow::Result<Option<String>> {
    const KEY: &str = "replay.policy";
    if loaded.origins.contains_key(KEY) {
        return Ok(None);
    }
    let last = registry.cycles(1)?;
    let before = last.first().and_then(|cycle| cycle.config["replay"]["policy"].as_str());
    let now = loaded.config.replay.policy.as_str();
    Ok(before.filter(|before| *before != now).map(|before| {
        format!("{KEY} is \"{now}\", the default, where the last cycle had \"{before}\": set it to keep that")
    }))
}
