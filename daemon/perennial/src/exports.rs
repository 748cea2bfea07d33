//! Adapters in the forms of other programs: for whoever asks, and for targets whose servers load no other.

use std::{error::Error, path::Path};

use anyhow::{Context as _, bail};
use perennial_learn::export::{Dtype, Format, Job};
use perennial_publish::{Champion, Exporter};
use perennial_types::Fingerprint;

use crate::{config, models};

/// An adapter that is to be exported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// What it is told by.
    pub(crate) name: &'a str,
    /// Its folder, in PEFT's format.
    pub(crate) folder: &'a Path,
    /// The fingerprint of the base model that it was trained on, where that is known.
    pub(crate) trained_on: Option<Fingerprint>,
}

/// Writes an adapter of the configured base model in this form. Blocks for as long as reading and writing take.
///
/// # Errors
/// Where it was trained on another base model, the form cannot carry it, or something cannot be read or written.
pub(crate) fn export(
    model: &config::Model,
    source: &Source<'_>,
    format: Format,
    dtype: Option<Dtype>,
    out: &Path,
) -> anyhow::Result<()> {
    let base = models::locate(model)?;
    if let Some(own) = source.trained_on {
        let found = models::fingerprint(model)?;
        if own != found {
            bail!(
                "{} was trained on a base model with fingerprint {}, and model.base has {}: name the one that it was trained on",
                source.name,
                own.short(12),
                found.short(12)
            );
        }
    }
    let name = format!("{} {}", models::published_name(model), source.name);
    Ok(format.export(&Job { adapter: source.folder, base: &base, dtype, name: &name }, out)?)
}

/// Exports champions of a base model for targets.
#[derive(Clone, Debug)]
pub(crate) struct ModelExporter(pub(crate) config::Model);

impl Exporter for ModelExporter {
    fn export(&self, champion: &Champion, format: &str, out: &Path) -> Result<(), Box<dyn Error + Send + Sync>> {
        let export = || {
            let format = Format::named(format).with_context(|| format!("there is no form called {format}"))?;
            let name = champion.adapter.to_string();
            let source = Source { name: &name, folder: &champion.folder, trained_on: Some(champion.base) };
            export(&self.0, &source, format, None, out)
        };
        Ok(export()?)
    }
}
