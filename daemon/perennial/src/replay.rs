//! The replay buffer of a state directory: opened with the embedding that the configuration asks for, and rebuilt where it
//! was made with another one.

use std::{
    collections::BTreeMap,
    fs, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use perennial_data::replay::{ReplayBuffer, ReplayRow};
use perennial_durable as durable;
use perennial_learn::{
    embed::Method,
    model::{Model, ModelConfig},
};
use perennial_registry::Registry;
use perennial_types::{Fingerprint, SampleId};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::{
    config::{self, Config, Embedding},
    ports::Context,
};

/// What the vectors in a buffer were made with. Kept beside the table, since vectors of two makes cannot be compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Make {
    base: Fingerprint,
    embedding: Embedding,
    layer: Option<usize>,
    /// Of the lots by which rows leave a full buffer: drawn once, since other lots would let go of the rows that those before
    /// them kept. Buffers of an older program have none yet.
    #[serde(default)]
    keep_seed: Option<u64>,
}

impl Make {
    /// Whether vectors of both can be compared.
    fn is_like(&self, other: &Self) -> bool {
        (self.base, self.embedding, self.layer) == (other.base, other.embedding, other.layer)
    }

    fn write(&self, context: &Context) -> anyhow::Result<()> {
        Ok(durable::write_durably(&context.state.lance().join(MAKE_FILE), &serde_json::to_vec_pretty(self)?)?)
    }
}

/// The buffer as the indexer works with it.
pub(crate) struct Opened {
    pub(crate) buffer: ReplayBuffer,
    pub(crate) histories: Histories,
    /// Of the lots by which rows leave a full buffer.
    pub(crate) keep_seed: u64,
}

const MAKE_FILE: &str = "embedding.json";

/// Lets one thread at a time change the buffer. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct BufferLock(Arc<Mutex<()>>);

impl BufferLock {
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The histories of rows that a rebuilt buffer lost, to be kept when the rows come back.
pub(crate) type Histories = BTreeMap<SampleId, ReplayRow>;

/// Opens the buffer for embeddings of this base model, or rebuilds it for them: then the registry forgets what was
/// indexed, and all of it waits for the indexer again. For the indexer alone, under the configuration of the moment: a cycle
/// reads the buffer with [`find`], whatever it was made with, so that two configurations never pull it to and fro.
pub(crate) fn open(context: &Context, registry: &Registry, config: &Config, model: &Model) -> anyhow::Result<Opened> {
    let folder = context.state.lance();
    let config::Replay { embedding, layer, .. } = config.replay;
    let keep_seed = config.cycle.seed;
    let make = Make { base: model.fingerprint, embedding, layer, keep_seed: Some(keep_seed) };
    let dim = model.config.hidden_size;
    if let Some(found) = read_make(context)?.filter(|found| found.is_like(&make)) {
        match context.runtime.block_on(ReplayBuffer::open(&folder, dim)) {
            Ok(buffer) => {
                if found.keep_seed.is_none() {
                    make.write(context)?;
                }
                let keep_seed = found.keep_seed.unwrap_or(keep_seed);
                return Ok(Opened { buffer, histories: Histories::new(), keep_seed });
            }
            // It is an index: what is lost in it is lost nowhere else.
            Err(error) if error.is_of_buffer() => warn!(%error, "the replay buffer cannot be used"),
            Err(error) => return Err(error).context("the replay buffer"),
        }
    }
    let (buffer, rows) = context.runtime.block_on(ReplayBuffer::rebuild(&folder, dim)).context("the replay buffer")?;
    if registry.has_indexed()? {
        warn!(
            rows = rows.len(),
            "the replay buffer is lost, or was made with another base model or embedding: it is built anew"
        );
    }
    registry.forget_index()?;
    // Last: without this file, a crash before here means another rebuild.
    make.write(context)?;
    let histories = rows.into_iter().map(|row| (row.id, row)).collect();
    Ok(Opened { buffer, histories, keep_seed })
}

/// The buffer, whatever its embeddings were made with ([`method_of`] tells); `None` where there is none.
pub(crate) fn find(context: &Context) -> anyhow::Result<Option<ReplayBuffer>> {
    context.runtime.block_on(ReplayBuffer::find(&context.state.lance())).context("the replay buffer")
}

/// How the embeddings in the buffer were made; `None` where there are none, or of another base model.
pub(crate) fn method_of(context: &Context, model: &Model) -> anyhow::Result<Option<Method>> {
    let make = read_make(context)?.filter(|make| make.base == model.fingerprint);
    Ok(make.map(|make| method_for(make.embedding, make.layer, &model.config)))
}

/// Whether the buffer was lost, or made with other settings than these. That it was made with another base model is seen only
/// once the model is read.
pub(crate) fn is_stale(context: &Context, config: &config::Replay) -> anyhow::Result<bool> {
    match read_make(context)? {
        Some(make) => Ok(make.embedding != config.embedding || make.layer != config.layer),
        None => Ok(context.registry.has_indexed()?),
    }
}

fn read_make(context: &Context) -> anyhow::Result<Option<Make>> {
    match fs::read(context.state.lance().join(MAKE_FILE)) {
        Ok(json) => Ok(serde_json::from_slice(&json).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("the replay buffer's embedding.json cannot be read"),
    }
}

/// The learner's name for the configured embedding. A layer that is not configured is the middle one.
pub(crate) fn method(config: &config::Replay, model: &ModelConfig) -> Method {
    method_for(config.embedding, config.layer, model)
}

fn method_for(embedding: Embedding, layer: Option<usize>, model: &ModelConfig) -> Method {
    match embedding {
        Embedding::Sif => Method::Sif,
        Embedding::Hidden => Method::Hidden { layers: layer.unwrap_or(model.layers.div_ceil(2)) },
    }
}
