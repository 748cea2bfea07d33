use std::{
    fs::File,
    path::{Path, PathBuf},
};

use blake3::Hasher;
use perennial_kernels::Precision;
use perennial_types::{Fingerprint, Fingerprinter};
use rayon::prelude::*;

use super::{Decoder, Model, ModelConfig, ModelError, ModelSource, gguf::Gguf, hf_tokenizer, safetensors};
use crate::tokenize;

impl Model {
    /// Reads a model: a folder with Hugging Face files (`config.json`, `tokenizer.json`, `*.safetensors`), a GGUF file,
    /// or a folder with one GGUF file in it. `precision` is what weights are rounded to and computed with.
    ///
    /// # Errors
    /// A [`ModelError`] that names the file, and the setting or tensor in it.
    pub fn load(path: &Path, precision: Precision) -> Result<Self, ModelError> {
        match ModelSource::find(path)? {
            ModelSource::HfFolder(folder) => Self::load_hf(&folder, precision),
            ModelSource::Gguf(file) => Self::load_gguf(&file, precision),
        }
    }

    fn load_hf(folder: &Path, precision: Precision) -> Result<Self, ModelError> {
        let config_path = folder.join("config.json");
        let text = std::fs::read_to_string(&config_path).map_err(ModelError::io(&config_path))?;
        let config = ModelConfig::from_hf(&text, &config_path)?;
        let (tokenizer, template) = hf_tokenizer::read(folder)?;
        let files = safetensors::weight_files(folder)?;
        let (tensors, fingerprint) = rayon::join(|| safetensors::read(&files, precision), || fingerprint(&files));
        let decoder = Decoder::assemble(folder, &config, precision, tensors?)?;
        Ok(Self { config, decoder, tokenizer, template, fingerprint: fingerprint? })
    }

    fn load_gguf(file: &Path, precision: Precision) -> Result<Self, ModelError> {
        let gguf = Gguf::open(file)?;
        let config = ModelConfig::from_gguf(&gguf, file)?;
        let files = [file.to_owned()];
        let ((tensors, fingerprint), tokenizer) = rayon::join(
            || rayon::join(|| gguf.tensors(&config, precision), || fingerprint(&files)),
            || tokenize::from_gguf(gguf.metadata()).map_err(ModelError::tokenizer(file)),
        );
        let (tokenizer, template) = tokenizer?;
        let decoder = Decoder::assemble(file, &config, precision, tensors?)?;
        Ok(Self { config, decoder, tokenizer, template, fingerprint: fingerprint? })
    }
}

/// blake3 of a single weight file, exactly what `b3sum` prints; of several, the fingerprint of theirs in order.
fn fingerprint(files: &[PathBuf]) -> Result<Fingerprint, ModelError> {
    let each = files.par_iter().map(|file| {
        let mut hasher = Hasher::new();
        hasher.update_reader(File::open(file).map_err(ModelError::io(file))?).map_err(ModelError::io(file))?;
        Ok(Fingerprint::from_bytes(*hasher.finalize().as_bytes()))
    });
    let each = each.collect::<Result<Vec<_>, ModelError>>()?;
    if let [single] = each.as_slice() {
        return Ok(*single);
    }
    let mut all = Fingerprinter::new();
    each.iter().for_each(|file| all.add(file.as_bytes()));
    Ok(all.finish())
}
