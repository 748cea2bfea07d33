//! What production reads, as those who serve it would.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use perennial_learn::adapter::Adapter;
use perennial_registry::Registry;

/// That the champion's folder, where production reads it, is an adapter, and nothing is published while the base model is in service.
///
/// # Errors
/// Where the link leads elsewhere, or to what is no adapter.
pub fn production_reads_the_champion(registry: &Registry, state: &Path) -> Result<()> {
    let link = state.join("export/current");
    let Some(champion) = registry.champion()? else {
        ensure!(!link.exists(), "{} is there, and the base model is in service", link.display());
        return Ok(());
    };
    let folder = link.canonicalize().with_context(|| format!("{champion} is not published"))?;
    ensure!(folder.ends_with(champion.as_str()), "{champion} is the champion, and {} is published", folder.display());
    Adapter::load_peft(&folder).with_context(|| format!("loading {}", folder.display()))?;
    Ok(())
}
