use std::path::Path;

use perennial_kernels::Precision;
use perennial_types::Fingerprint;
use tracing::warn;

use super::{
    Decoder, Model, ModelConfig, ModelError, ModelSource,
    gguf::Gguf,
    hf_tokenizer,
    json_file::{self, SETTINGS_BYTES_MAX},
    layout,
    loaded::{Loaded, Tensors},
    names, safetensors,
    source::Source,
    weight_cache::WeightCache,
};
use crate::{
    guarded::guarded,
    tokenize::{self, ChatTemplate, Tokenizer},
};

impl ModelConfig {
    /// Reads the shape of a model, as [`Model::load`] does, without its weights.
    ///
    /// # Errors
    /// A [`ModelError`] that names the file, and the setting in it.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        without_panic(path, || match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => Self::read_hf(&folder),
            ModelSource::Gguf(file) => Self::from_gguf(&Gguf::open(&file)?, &file),
        })
    }

    fn read_hf(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        Self::from_hf(&json_file::text(&path, SETTINGS_BYTES_MAX)?, &path)
    }
}

impl Model {
    /// Reads a model: a folder with Hugging Face files (`config.json`, `tokenizer.json`, `*.safetensors`), a GGUF file,
    /// or a folder with one GGUF file in it. `precision` is what weights are rounded to and computed with.
    ///
    /// What the files say is held against their sizes before anything is made by it.
    ///
    /// # Errors
    /// A [`ModelError`] that names the file, and the setting or tensor in it.
    pub fn load(path: &Path, precision: Precision) -> Result<Self, ModelError> {
        Self::load_from(path, precision, &WeightCache::new(None))
    }

    /// As [`load`](Self::load), and quicker from the second time on: weights that have to be converted are kept in `cache`,
    /// and so are the fingerprints of files. What is kept can be deleted at any time.
    ///
    /// # Errors
    /// As [`load`](Self::load). A cache that cannot be read or written is no error but a warning.
    pub fn load_cached(path: &Path, precision: Precision, cache: &Path) -> Result<Self, ModelError> {
        Self::load_from(path, precision, &WeightCache::new(Some(cache)))
    }

    /// The fingerprint that a model has once it is loaded, of its weight files as they lie. With a `cache` they are read only where
    /// they changed since they were last.
    ///
    /// # Errors
    /// Where there are none, or they cannot be read.
    pub fn fingerprint_of(path: &Path, cache: Option<&Path>) -> Result<Fingerprint, ModelError> {
        let files = match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => safetensors::weight_files(&folder)?,
            ModelSource::Gguf(file) => vec![file],
        };
        WeightCache::new(cache).fingerprint(&files)
    }

    /// Reads a GGUF file that lies in memory, as [`load`](Self::load) reads one on the disk.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn read_gguf(bytes: &[u8], precision: Precision) -> Result<Self, ModelError> {
        let place = Path::new("memory");
        without_panic(place, || {
            let gguf = Gguf::read(Source::Memory(bytes), place)?;
            Self::from_gguf(
                &gguf,
                place,
                |config| Ok((gguf.tensors(config, precision)?, Fingerprint::of(bytes))),
                precision,
            )
        })
    }

    fn load_from(path: &Path, precision: Precision, cache: &WeightCache<'_>) -> Result<Self, ModelError> {
        without_panic(path, || match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => Self::load_hf(&folder, precision, cache),
            ModelSource::Gguf(file) => {
                let gguf = Gguf::open(&file)?;
                let weights = |config: &ModelConfig| {
                    cache.load(std::slice::from_ref(&file), precision, false, || gguf.tensors(config, precision))
                };
                Self::from_gguf(&gguf, &file, weights, precision)
            }
        })
    }

    fn load_hf(folder: &Path, precision: Precision, cache: &WeightCache<'_>) -> Result<Self, ModelError> {
        let config = ModelConfig::read_hf(folder)?;
        let files = safetensors::weight_files(folder)?;
        let shards = safetensors::Shards::open(&files)?;
        layout::check(&config, &shards.shapes()?, folder)?;
        let in_place = shards.are_in(precision);
        let (weights, tokenizer) = rayon::join(
            || cache.load(&files, precision, in_place, || shards.read(precision)),
            || hf_tokenizer::read(folder),
        );
        Self::assembled(config, weights?, tokenizer?, folder, precision)
    }

    fn from_gguf(
        gguf: &Gguf<'_>,
        path: &Path,
        weights: impl FnOnce(&ModelConfig) -> Result<(Tensors, Fingerprint), ModelError> + Send,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let config = ModelConfig::from_gguf(gguf, path)?;
        gguf.check_layout(&config)?;
        let (weights, tokenizer) = rayon::join(
            || weights(&config),
            || tokenize::from_gguf(gguf.metadata()).map_err(ModelError::tokenizer(path)),
        );
        Self::assembled(config, weights?, tokenizer?, path, precision)
    }

    fn assembled(
        mut config: ModelConfig,
        (mut tensors, fingerprint): (Tensors, Fingerprint),
        (tokenizer, template): (Tokenizer, ChatTemplate),
        path: &Path,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        tie(&mut config, &mut tensors);
        let decoder = Decoder::assemble(path, &config, precision, tensors)?;
        let tokenizer = tokenizer.ending_turns_as(&template).for_rows(config.vocab_size);
        Ok(Self { config, decoder, tokenizer, template, fingerprint })
    }
}

/// Ties the head to the embeddings as transformers 5 does (`PreTrainedModel.tie_weights`): whichever table is there stands for both, and
/// two that differ are left as they are.
fn tie(config: &mut ModelConfig, tensors: &mut Tensors) {
    if !config.tied_head {
        return;
    }
    let Some(head) = tensors.remove(names::HEAD) else { return };
    match tensors.get(names::EMBEDDINGS) {
        None => drop(tensors.insert(names::EMBEDDINGS.to_owned(), head)),
        Some(embeddings) if same(embeddings, &head) => {}
        Some(_) => {
            warn!("`tie_word_embeddings` is true, but the head's weights differ from the embeddings: both are used");
            config.tied_head = false;
            tensors.insert(names::HEAD.to_owned(), head);
        }
    }
}

fn same(one: &Loaded, other: &Loaded) -> bool {
    match (one, other) {
        (Loaded::Matrix(one), Loaded::Matrix(other)) => one.le_bytes() == other.le_bytes(),
        _ => false,
    }
}

/// What is known to make a library panic is refused before it gets there; what is not known ends as an error all the same.
pub(super) fn without_panic<T>(path: &Path, work: impl FnOnce() -> Result<T, ModelError>) -> Result<T, ModelError> {
    guarded(work).unwrap_or_else(|panic| {
        let problem = format!("a library fails on what stands in it: {panic}");
        Err(ModelError::NotAModel { path: path.to_owned(), problem })
    })
}
