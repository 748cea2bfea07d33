//! The small files of a model, read no further than a file of their kind can be long.

use std::{fs::File, io::Read, path::Path};

use serde_json::{Map, Value};

use super::ModelError;

/// `config.json`, `generation_config.json`, `tokenizer_config.json` and their like.
pub(super) const SETTINGS_BYTES_MAX: u64 = 16 << 20;
/// `tokenizer.json`; that of Gemma 3, with 262 thousand tokens, has 33 MB. Memory many times as large is built from it.
pub(super) const TOKENIZER_BYTES_MAX: u64 = 64 << 20;
/// A chat template.
pub(super) const TEMPLATE_BYTES_MAX: u64 = 1 << 20;
/// `model.safetensors.index.json`; a line for each tensor.
pub(super) const INDEX_BYTES_MAX: u64 = 64 << 20;

/// The content of a file.
///
/// # Errors
/// Where it cannot be read, or is longer than `bytes_max`.
pub(super) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, ModelError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(ModelError::io(path))?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(ModelError::io(path))?;
    if bytes.len() as u64 > bytes_max {
        let problem = format!("is longer than {bytes_max} bytes, as no file of this name is");
        return Err(ModelError::NotAModel { path: path.to_owned(), problem });
    }
    Ok(bytes)
}

/// The content of a text file.
///
/// # Errors
/// As [`read`], or where it is no UTF-8.
pub(super) fn text(path: &Path, bytes_max: u64) -> Result<String, ModelError> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|error| ModelError::NotAModel { path: path.to_owned(), problem: format!("is no text: {error}") })
}

/// The JSON object in a file; an empty one where the file is not there.
///
/// # Errors
/// As [`read`], or where it holds no JSON object.
pub(super) fn object(path: &Path, bytes_max: u64) -> Result<Map<String, Value>, ModelError> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    serde_json::from_slice(&read(path, bytes_max)?).map_err(|error| ModelError::NotAModel {
        path: path.to_owned(),
        problem: format!("not a JSON object: {error}"),
    })
}
