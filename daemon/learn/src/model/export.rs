use std::{borrow::Cow, path::Path};

use serde_json::{Map, Value, json};

use perennial_durable::write_durably;
use perennial_kernels::Precision;

use super::{
    Model, ModelConfig, ModelError,
    loaded::{Loaded, Tensors},
    safetensors_write::{Entry, write_safetensors},
};
use crate::tokenize::{ChatTemplate, Tokenizer};

impl Model {
    /// Writes the model as a Hugging Face folder (`config.json`, `model.safetensors` in the precision that it was loaded in,
    /// `tokenizer.json`, `tokenizer_config.json` with the chat template, `generation_config.json`), so that transformers and PEFT can
    /// load a base that came as GGUF.
    ///
    /// # Errors
    /// Where a file cannot be written, or the architecture's class in transformers has no such biases.
    pub fn export_hf(&self, folder: &Path) -> Result<(), ModelError> {
        write_settings(folder, &self.config, &self.tokenizer, &self.template, "float32")?;
        write_weights(&folder.join("model.safetensors"), &self.decoder.tensors())
    }
}

/// Writes all of a Hugging Face folder but the weights; `dtype` is what those will be, as torch calls it.
///
/// # Errors
/// As [`Model::export_hf`].
pub(super) fn write_settings(
    folder: &Path,
    shape: &ModelConfig,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    dtype: &str,
) -> Result<(), ModelError> {
    if !shape.has_biases_of_its_class() {
        return Err(ModelError::Unsupported {
            path: folder.to_owned(),
            what: format!("a {} model with biases on some of its linear layers", shape.architecture),
            supported: "the biases that its class in transformers has",
        });
    }
    let special = tokenizer.special();
    let id = |token: &Option<String>| token.as_deref().and_then(|token| tokenizer.token_id(token));
    let ids = json!({
        "bos_token_id": id(&special.bos),
        "eos_token_id": tokenizer.end_tokens(),
        "pad_token_id": id(&special.pad),
    });
    write_json(&folder.join("generation_config.json"), &ids)?;

    let mut config = shape.to_hf();
    config.insert("torch_dtype".to_owned(), dtype.into());
    config.insert("bos_token_id".to_owned(), json!(id(&special.bos)));
    config.insert("eos_token_id".to_owned(), json!(id(&special.eos)));
    config.insert("pad_token_id".to_owned(), json!(id(&special.pad)));
    write_json(&folder.join("config.json"), &Value::Object(config))?;

    let mut settings = Map::new();
    settings.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
    settings.insert("model_max_length".to_owned(), shape.positions_max.into());
    settings.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    let tokens = [
        ("bos_token", &special.bos),
        ("eos_token", &special.eos),
        ("unk_token", &special.unk),
        ("pad_token", &special.pad),
    ];
    let texts = tokens.into_iter().filter_map(|(key, token)| Some((key, token.as_deref()?)));
    let others = special.others.iter().map(|(role, token)| (role.as_str(), token.as_str()));
    for (key, text) in texts.chain(others) {
        settings.insert(key.to_owned(), text.into());
    }
    let templates = [("default", template.source()), ("tool_use", template.source_for_tools())];
    let named = templates.into_iter().filter_map(|(name, template)| Some((name, template?)));
    match named.collect::<Vec<_>>().as_slice() {
        [] => {}
        [("default", template)] => drop(settings.insert("chat_template".to_owned(), (*template).into())),
        several => {
            let listed = several.iter().map(|(name, template)| json!({ "name": name, "template": template }));
            settings.insert("chat_template".to_owned(), listed.collect());
        }
    }
    write_json(&folder.join("tokenizer_config.json"), &Value::Object(settings))?;

    let path = folder.join("tokenizer.json");
    let text = tokenizer.to_json().map_err(ModelError::tokenizer(&path))?;
    Ok(write_durably(&path, text.as_bytes())?)
}

/// Writes a safetensors file of these tensors, in the precision that they have.
pub(super) fn write_weights(path: &Path, tensors: &Tensors) -> Result<(), ModelError> {
    let entry = |(name, tensor): (&String, &Loaded)| {
        let (dtype, value_bytes) = dtype_of(tensor);
        Entry { name: name.clone(), dtype, shape: tensor.dims(), value_bytes }
    };
    let entries: Vec<Entry> = tensors.iter().map(entry).collect();
    write_safetensors(path, &entries, |entry| {
        Ok::<_, ModelError>(match tensors.get(&entry.name) {
            Some(Loaded::Vector(values)) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Some(Loaded::Matrix(weight)) => weight.le_bytes(),
            None => Cow::default(),
        })
    })
}

/// The type of a tensor's values in the file, and how many bytes each has.
fn dtype_of(tensor: &Loaded) -> (&'static str, usize) {
    match tensor {
        Loaded::Matrix(weight) if weight.precision() == Precision::Bf16 => ("BF16", 2),
        _ => ("F32", 4),
    }
}

fn write_json(path: &Path, value: &Value) -> Result<(), ModelError> {
    Ok(write_durably(path, format!("{value:#}\n").as_bytes())?)
}
