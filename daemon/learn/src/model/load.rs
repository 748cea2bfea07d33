use std::path::Path;

use perennial_kernels::Precision;

use super::{
    Decoder, Model, ModelConfig, ModelError, ModelSource, gguf::Gguf, hf_tokenizer, safetensors,
    weight_cache::WeightCache,
};
use crate::tokenize;

impl ModelConfig {
    /// Reads the shape of a model, as [`Model::load`] does, without its weights.
    ///
    /// # Errors
    /// A [`ModelError`] that names the file, and the setting in it.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => Self::read_hf(&folder),
            ModelSource::Gguf(file) => Self::from_gguf(&Gguf::open(&file)?, &file),
        }
    }

    fn read_hf(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(ModelError::io(&path))?;
        Self::from_hf(&text, &path)
    }
}

impl Model {
    /// Reads a model: a folder with Hugging Face files (`config.json`, `tokenizer.json`, `*.safetensors`), a GGUF file,
    /// or a folder with one GGUF file in it. `precision` is what weights are rounded to and computed with.
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

    fn load_from(path: &Path, precision: Precision, cache: &WeightCache<'_>) -> Result<Self, ModelError> {
        match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => Self::load_hf(&folder, precision, cache),
            ModelSource::Gguf(file) => Self::load_gguf(&file, precision, cache),
        }
    }

    fn load_hf(folder: &Path, precision: Precision, cache: &WeightCache<'_>) -> Result<Self, ModelError> {
        let config = ModelConfig::read_hf(folder)?;
        let files = safetensors::weight_files(folder)?;
        let in_place = safetensors::are_stored_in(&files, precision)?;
        let (weights, tokenizer) = rayon::join(
            || cache.load(&files, precision, in_place, || safetensors::read(&files, precision)),
            || hf_tokenizer::read(folder),
        );
        let ((tensors, fingerprint), (tokenizer, template)) = (weights?, tokenizer?);
        let decoder = Decoder::assemble(folder, &config, precision, tensors)?;
        Ok(Self { config, decoder, tokenizer, template, fingerprint })
    }

    fn load_gguf(file: &Path, precision: Precision, cache: &WeightCache<'_>) -> Result<Self, ModelError> {
        let gguf = Gguf::open(file)?;
        let config = ModelConfig::from_gguf(&gguf, file)?;
        let (weights, tokenizer) = rayon::join(
            || cache.load(&[file.to_owned()], precision, false, || gguf.tensors(&config, precision)),
            || tokenize::from_gguf(gguf.metadata()).map_err(ModelError::tokenizer(file)),
        );
        let ((tensors, fingerprint), (tokenizer, template)) = (weights?, tokenizer?);
        let decoder = Decoder::assemble(file, &config, precision, tensors)?;
        Ok(Self { config, decoder, tokenizer, template, fingerprint })
    }
}
