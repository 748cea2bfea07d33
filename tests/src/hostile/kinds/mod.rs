mod compressed;
mod configs;
mod gguf;
mod plugins;
mod requests;
mod rows;
mod safetensors;
mod schemas;
mod templates;

pub use self::plugins::heavy_plugin;
pub(super) use self::{
    compressed::Compressed, configs::Configs, gguf::Gguf, plugins::Plugins, requests::Requests, rows::Rows,
    safetensors::Safetensors, schemas::Schemas, templates::Templates,
};

use super::Input;
use crate::repository;

const NDJSON: &str = "application/x-ndjson";

/// `perennial check` with a base model in the files.
fn check_model(files: Vec<(String, Vec<u8>)>, base: &str) -> Input {
    let setting = format!("model.base=\"{{}}/{base}\"");
    Input::Command { files, arguments: ["--set", &setting, "check"].map(str::to_owned).to_vec() }
}

/// A file of the tiny test model; empty where it is not there, which is hostile too.
fn tiny(name: &str) -> Vec<u8> {
    std::fs::read(repository().join("tests/goldens/tiny").join(name)).unwrap_or_default()
}

/// The tiny test model, but for the files that are named.
fn tiny_without(names: &[&str]) -> Vec<(String, Vec<u8>)> {
    ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        .into_iter()
        .filter(|name| !names.contains(name))
        .map(|name| (format!("model/{name}"), tiny(name)))
        .collect()
}
