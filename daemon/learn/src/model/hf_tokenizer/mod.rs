//! The tokenizer and the chat template of a Hugging Face folder, as transformers 5 puts them together.

mod roles;
mod template;

use std::path::Path;

use serde_json::Value;

use self::roles::Roles;
use super::{
    ModelError,
    json_file::{self, SETTINGS_BYTES_MAX, TOKENIZER_BYTES_MAX},
};
use crate::{
    metadata::KeyError,
    tokenize::{ChatTemplate, EndReason, Tokenizer, TokenizerError},
};

pub(super) fn read(folder: &Path) -> Result<(Tokenizer, ChatTemplate), ModelError> {
    let path = folder.join("tokenizer.json");
    let invalid =
        |problem: String| ModelError::Tokenizer { path: path.clone(), source: TokenizerError::Invalid(problem) };
    let bytes = json_file::read(&path, TOKENIZER_BYTES_MAX)?;
    let mut inner =
        tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| invalid(format!("cannot be read: {error}")))?;
    if let tokenizers::ModelWrapper::BPE(bpe) = inner.get_model()
        && bpe.dropout.is_some_and(|share| share > 0.0)
    {
        return Err(invalid("has a `dropout`: the same text would be other tokens each time".to_owned()));
    }
    let settings = json_file::object(&folder.join("tokenizer_config.json"), SETTINGS_BYTES_MAX)?;
    let Roles { special, added } = roles::read(folder, &settings, &inner)?;
    inner.add_tokens(added).map_err(|error| invalid(format!("takes no added tokens: {error}")))?;
    inner.set_encode_special_tokens(settings.get("split_special_tokens").and_then(Value::as_bool).unwrap_or(false));

    let template = template::read(folder, &settings, &special)?;
    let ends = ends(folder)?;
    let tokenizer = Tokenizer::new(inner, special, &ends).map_err(ModelError::tokenizer(path))?;
    Ok((tokenizer, template))
}

/// The tokens that `generation_config.json` and `config.json` say end a generation: one, or a list.
fn ends(folder: &Path) -> Result<Vec<(u32, EndReason)>, ModelError> {
    const FILES: [(&str, &str); 2] = [
        ("generation_config.json", "eos_token_id of generation_config.json"),
        ("config.json", "eos_token_id of config.json"),
    ];
    let mut ends = Vec::new();
    for (file, reason) in FILES {
        let path = folder.join(file);
        let settings = json_file::object(&path, SETTINGS_BYTES_MAX)?;
        let value = settings.get("eos_token_id").cloned().unwrap_or_default();
        let listed = value.as_array().cloned().unwrap_or_else(|| vec![value]);
        for id in listed.into_iter().filter(|id| !id.is_null()) {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(|| {
                let problem = format!("names the token {id}: it must be a token's number, or a list of them");
                ModelError::config(&path, KeyError::new("eos_token_id", problem))
            })?;
            ends.push((id, EndReason::Key(reason)));
        }
    }
    Ok(ends)
}
