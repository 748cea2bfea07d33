//! The base model, in memory while someone uses it and no longer, so that an idle daemon stays small.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

use perennial_learn::{
    compute::{Precision, current_isa},
    model::Model,
};
use tracing::info;

use crate::{config, models};

/// Loads the base model for whoever asks while nobody has it, and shares it while somebody does. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Engine(Arc<Mutex<Option<Loaded>>>);

struct Loaded {
    path: PathBuf,
    precision: Precision,
    model: Weak<Model>,
}

impl Engine {
    /// The base model that the configuration names. Blocks for as long as it takes to read.
    ///
    /// # Errors
    /// Where there is no such model here, or it cannot be read.
    pub(crate) fn model(&self, config: &config::Model) -> anyhow::Result<Arc<Model>> {
        self.model_in(config, config.precision.resolve())
    }

    /// As [`model`](Self::model), in this precision.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub(crate) fn model_in(&self, config: &config::Model, precision: Precision) -> anyhow::Result<Arc<Model>> {
        let path = models::locate(config)?;
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |loaded: &&Loaded| loaded.path == path && loaded.precision == precision;
        if let Some(model) = slot.as_ref().filter(fits).and_then(|loaded| loaded.model.upgrade()) {
            return Ok(model);
        }
        let model = Arc::new(load(config, &path, precision)?);
        *slot = Some(Loaded { path, precision, model: Arc::downgrade(&model) });
        Ok(model)
    }
}

fn load(config: &config::Model, path: &Path, precision: Precision) -> anyhow::Result<Model> {
    let started = Instant::now();
    let model = models::load(config, precision)?;
    let (seconds, isa) = (started.elapsed().as_secs_f64(), current_isa());
    info!(path = %path.display(), precision = precision.as_str(), isa = isa.as_str(), seconds, "base model loaded");
    Ok(model)
}
