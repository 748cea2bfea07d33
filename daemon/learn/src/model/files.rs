use std::path::{Path, PathBuf};

use super::ModelError;

/// The file forms that a model comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A folder with `config.json`, `tokenizer.json` and safetensors.
    HfFolder(PathBuf),
    /// A GGUF file.
    Gguf(PathBuf),
}

impl ModelSource {
    /// What there is at a path: a Hugging Face folder, a GGUF file, or a folder with one GGUF file in it.
    ///
    /// # Errors
    /// Where there is none of these.
    pub fn find(path: &Path) -> Result<Self, ModelError> {
        let nothing = |problem: &str| Err(ModelError::NotAModel { path: path.to_owned(), problem: problem.to_owned() });
        if path.is_file() {
            return match path.extension().is_some_and(|extension| extension == "gguf") {
                true => Ok(Self::Gguf(path.to_owned())),
                false => nothing("a model is a folder of Hugging Face files or a .gguf file"),
            };
        }
        if !path.is_dir() {
            return nothing("no such file or folder");
        }
        if path.join("config.json").is_file() {
            return Ok(Self::HfFolder(path.to_owned()));
        }
        let entries = std::fs::read_dir(path).map_err(ModelError::io(path))?;
        let mut gguf_files = Vec::new();
        for entry in entries {
            let file = entry.map_err(ModelError::io(path))?.path();
            if file.extension().is_some_and(|extension| extension == "gguf") {
                gguf_files.push(file);
            }
        }
        match <[PathBuf; 1]>::try_from(gguf_files) {
            Ok([file]) => Ok(Self::Gguf(file)),
            Err(files) if files.is_empty() => {
                nothing("holds no model: neither `config.json` nor a .gguf file is there")
            }
            Err(_) => nothing("holds several .gguf files: name the one to use"),
        }
    }
}
