//! Whom somebody means.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use perennial_registry::store;
use perennial_types::{AdapterId, CycleId, Fingerprint};

use super::ADAPTERS_MAX;
use crate::{cycle::side::Side, pin, ports::Context};

/// An adapter by its word.
pub(crate) struct KnownAdapter {
    /// What it is told by.
    pub(crate) name: String,
    /// Its folder, verified.
    pub(crate) folder: PathBuf,
    /// The fingerprint of the base model that it was trained on, where the registry knows it.
    pub(crate) trained_on: Option<Fingerprint>,
}

/// The adapter that somebody means.
///
/// # Errors
/// Where there is none, or it is the base model alone.
pub(crate) fn adapter_of(context: &Context, word: &str) -> anyhow::Result<KnownAdapter> {
    let (name, side) = contestant(context, word)?;
    let Some(folder) = side.folder(&context.state, &context.registry)? else {
        bail!("{word} is the base model alone: there is no adapter (`perennial model export` writes the base model)");
    };
    let known = match &side {
        Side::Stored(id) => context.registry.adapter(id)?,
        Side::Base | Side::Folder(..) => None,
    };
    Ok(KnownAdapter { name, folder, trained_on: known.map(|known| known.lineage.base) })
}

/// Adapters by their words: `base`, `champion`, `anchor`, an adapter's id, a cycle's number for its candidate, or a PEFT
/// folder. Each once, with the name that it is told by.
pub(super) fn contestants(context: &Context, words: &[String]) -> anyhow::Result<Vec<(String, Side)>> {
    let usual = ["base", "anchor", "champion"].map(str::to_owned);
    let words = if words.is_empty() { &usual[..] } else { words };
    let mut found: Vec<(String, Side)> = Vec::new();
    for word in words {
        let (name, side) = contestant(context, word)?;
        if found.iter().all(|(_, known)| *known != side) {
            found.push((name, side));
        }
    }
    if found.len() > ADAPTERS_MAX {
        bail!("{} adapters are too many: {ADAPTERS_MAX} are compared at most", found.len());
    }
    Ok(found)
}

fn contestant(context: &Context, word: &str) -> anyhow::Result<(String, Side)> {
    let registry = &context.registry;
    let named = |adapter: Option<AdapterId>| {
        let side = Side::of(adapter.as_ref());
        (adapter.map_or_else(|| "base".to_owned(), |adapter| adapter.to_string()), side)
    };
    match word {
        "base" => return Ok(named(None)),
        "champion" => return Ok(named(registry.champion()?)),
        "anchor" => return Ok(named(pin::anchor(registry)?.adapter)),
        _ => {}
    }
    if let Ok(id) = word.parse::<AdapterId>() {
        return Ok(named(Some(id)));
    }
    if let Ok(id) = word.parse::<CycleId>() {
        let cycle = registry.cycle(id)?.with_context(|| format!("there is no cycle {id}"))?;
        return Ok(named(Some(cycle.candidate.with_context(|| format!("cycle {id} trained no candidate"))?)));
    }
    let folder = Path::new(word);
    if folder.join("adapter_config.json").is_file() {
        let files = store::fingerprint_files(folder)?;
        return Ok((word.to_owned(), Side::Folder(folder.to_owned(), files)));
    }
    bail!(
        "{word:?} is no adapter: name one by its id, a cycle's number for its candidate, \"base\", \"champion\", \"anchor\", or a \
         folder with an adapter_config.json"
    )
}
