use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::goldens;

/// A copy of the tiny model.
pub(crate) fn tiny() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in
        ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    {
        fs::copy(goldens().join("tiny").join(file), folder.path().join(file)).unwrap();
    }
    folder
}

pub(crate) fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}
