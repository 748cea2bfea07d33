use std::{collections::BTreeSet, path::Path};

use serde_json::{Map, Value};

use super::ModelError;
use crate::tokenize::{ChatTemplate, SpecialTokens, Tokenizer, TokenizerError};

/// The tokenizer and the chat template of a Hugging Face folder.
pub(super) fn read(folder: &Path) -> Result<(Tokenizer, ChatTemplate), ModelError> {
    let path = folder.join("tokenizer.json");
    let bytes = std::fs::read(&path).map_err(ModelError::io(&path))?;
    let inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| ModelError::Tokenizer {
        path: path.clone(),
        source: TokenizerError::Invalid(format!("cannot be read: {error}")),
    })?;
    let settings = read_object(&folder.join("tokenizer_config.json"))?;
    let map = read_object(&folder.join("special_tokens_map.json"))?;
    let special = |key: &str| settings.get(key).or_else(|| map.get(key)).and_then(token_text);
    let special = SpecialTokens {
        bos: special("bos_token"),
        eos: special("eos_token"),
        unk: special("unk_token"),
        pad: special("pad_token"),
    };
    let template = template(folder, &settings)?;
    let template = ChatTemplate::new(template.as_deref(), &special);
    let end_tokens = end_tokens(folder)?;
    let tokenizer = Tokenizer::new(inner, special, &end_tokens).map_err(ModelError::tokenizer(path))?;
    Ok((tokenizer, template))
}

/// The template in a file of its own, as transformers 5 writes it, or in the settings: alone, or the one named `default`.
fn template(folder: &Path, settings: &Map<String, Value>) -> Result<Option<String>, ModelError> {
    let path = folder.join("chat_template.jinja");
    if path.is_file() {
        return std::fs::read_to_string(&path).map(Some).map_err(ModelError::io(&path));
    }
    Ok(match settings.get("chat_template") {
        Some(Value::String(template)) => Some(template.clone()),
        Some(Value::Array(templates)) => templates
            .iter()
            .find(|template| template.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|template| template.get("template")?.as_str())
            .map(str::to_owned),
        _ => None,
    })
}

/// The tokens that `generation_config.json` and `config.json` say end a generation: one, or a list.
fn end_tokens(folder: &Path) -> Result<Vec<u32>, ModelError> {
    let mut ids = BTreeSet::new();
    for file in ["generation_config.json", "config.json"] {
        let settings = read_object(&folder.join(file))?;
        let value = settings.get("eos_token_id").cloned().unwrap_or_default();
        let listed = value.as_array().cloned().unwrap_or_else(|| vec![value]);
        ids.extend(listed.iter().filter_map(Value::as_u64).map(|id| id as u32));
    }
    Ok(ids.into_iter().collect())
}

/// The JSON object in a file; an empty one where the file is not there.
fn read_object(path: &Path) -> Result<Map<String, Value>, ModelError> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    let bytes = std::fs::read(path).map_err(ModelError::io(path))?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::NotAModel {
        path: path.to_owned(),
        problem: format!("not a JSON object: {error}"),
    })
}

/// Special tokens stand in the files as texts or as objects with the text in `content`.
fn token_text(value: &Value) -> Option<String> {
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}
