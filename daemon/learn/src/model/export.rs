use std::{io::Write, path::Path};

use serde_json::{Map, Value, json};

use perennial_durable::{DurableFile, parent, write_durably};
use perennial_kernels::Precision;

use super::{
    Model, ModelError,
    loaded::{Loaded, Tensors},
};

impl Model {
    /// Writes the model as a Hugging Face folder (`config.json`, `model.safetensors` in the precision that it was loaded in,
    /// `tokenizer.json`, `tokenizer_config.json` with the chat template, `generation_config.json`), so that transformers and PEFT can
    /// load a base that came as GGUF.
    ///
    /// # Errors
    /// Where a file cannot be written, or the architecture's class in transformers has no such biases.
    pub fn export_hf(&self, folder: &Path) -> Result<(), ModelError> {
        if !self.config.has_biases_of_its_class() {
            return Err(ModelError::Unsupported {
                path: folder.to_owned(),
                what: format!("a {} model with biases on some of its linear layers", self.config.architecture),
                supported: "the biases that its class in transformers has",
            });
        }
        let special = self.tokenizer.special();
        let id = |token: &Option<String>| token.as_deref().and_then(|token| self.tokenizer.token_id(token));
        let ids = json!({
            "bos_token_id": id(&special.bos),
            "eos_token_id": self.tokenizer.end_tokens(),
            "pad_token_id": id(&special.pad),
        });
        write_json(&folder.join("generation_config.json"), &ids)?;

        let mut config = self.config.to_hf();
        config.insert("bos_token_id".to_owned(), json!(id(&special.bos)));
        config.insert("eos_token_id".to_owned(), json!(id(&special.eos)));
        config.insert("pad_token_id".to_owned(), json!(id(&special.pad)));
        write_json(&folder.join("config.json"), &Value::Object(config))?;

        let mut settings = Map::new();
        settings.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
        settings.insert("model_max_length".to_owned(), self.config.positions_max.into());
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
        let templates = [("default", self.template.source()), ("tool_use", self.template.source_for_tools())];
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
        let text = self.tokenizer.to_json().map_err(ModelError::tokenizer(&path))?;
        write_durably(&path, text.as_bytes())?;

        write_weights(&folder.join("model.safetensors"), &self.decoder.tensors())
    }
}

/// Writes a safetensors file tensor by tensor: a model may fill most of the memory, so it is not copied as a whole first.
pub(super) fn write_weights(path: &Path, tensors: &Tensors) -> Result<(), ModelError> {
    let mut header = Map::new();
    // transformers wants to be told which framework's row order the tensors have.
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut end = 0;
    for (name, tensor) in tensors {
        let start = end;
        let (dtype, bytes) = dtype_of(tensor);
        end += tensor.dims().iter().product::<usize>() * bytes;
        header.insert(name.clone(), json!({ "dtype": dtype, "shape": tensor.dims(), "data_offsets": [start, end] }));
    }
    let mut header = Value::Object(header).to_string();
    let padded = header.len().next_multiple_of(size_of::<u64>());
    header.extend(std::iter::repeat_n(' ', padded - header.len()));

    let mut file = DurableFile::create(parent(path))?;
    file.write_all(&(padded as u64).to_le_bytes()).map_err(ModelError::io(path))?;
    file.write_all(header.as_bytes()).map_err(ModelError::io(path))?;
    for tensor in tensors.values() {
        match tensor {
            Loaded::Vector(values) => {
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                file.write_all(&bytes).map_err(ModelError::io(path))?;
            }
            Loaded::Matrix(weight) => file.write_all(&weight.le_bytes()).map_err(ModelError::io(path))?,
        }
    }
    Ok(file.commit(path)?)
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
