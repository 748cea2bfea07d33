//! The base model, in memory while someone uses it and no longer, so that an idle daemon stays small.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use anyhow::Context as _;
use perennial_learn::model::Model;
use tracing::info;

use crate::{config, models};

/// Loads the base model for whoever asks while nobody has it, and shares it while somebody does. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Engine(Arc<Mutex<Option<Loaded>>>);

struct Loaded {
    path: PathBuf,
    model: Weak<Model>,
}

impl Engine {
    /// The base model that the configuration names. Blocks for as long as it takes to read.
    ///
    /// # Errors
    /// Where there is no such model here, or it cannot be read.
    pub(crate) fn model(&self, config: &config::Model) -> anyhow::Result<Arc<Model>> {
        let path = models::locate(config)?;
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) =
            slot.as_ref().filter(|loaded| loaded.path == path).and_then(|loaded| loaded.model.upgrade())
        {
            return Ok(model);
        }
        let model = Arc::new(load(&path)?);
        *slot = Some(Loaded { path, model: Arc::downgrade(&model) });
        Ok(model)
    }
}

fn load(path: &Path) -> anyhow::Result<Model> {
    let started = Instant::now();
    let model = Model::load(path).with_context(|| format!("the base model {} cannot be loaded", path.display()))?;
    info!(path = %path.display(), seconds = started.elapsed().as_secs_f64(), "base model loaded");
    Ok(model)
}
