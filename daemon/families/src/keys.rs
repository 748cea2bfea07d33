use std::{cell::RefCell, collections::BTreeSet, path::Path};

use candle_nn::Activation;
use serde_json::{Map, Value};

use crate::FamilyError;

/// Keys that change no logit: names, versions, training, what is returned, and how texts are drawn by default.
const HARMLESS: [&str; 61] = [
    "_attn_implementation",
    "_from_model_config",
    "_name_or_path",
    "add_bos_token",
    "attention_dropout",
    "auto_map",
    "begin_suppress_tokens",
    "bos_token_id",
    "cache_implementation",
    "chunk_size_feed_forward",
    "decoder_start_token_id",
    "do_sample",
    "dtype",
    "embd_pdrop",
    "embedding_dropout",
    "eos_token_id",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "max_length",
    "min_length",
    "model_max_length",
    "model_type",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_pdrop",
    "residual_dropout",
    "return_dict",
    "return_dict_in_generate",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sep_token_id",
    "task_specific_params",
    "temperature",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
    "use_flash_attn",
];
/// What decoders for text are called by transformers.
const CAUSAL: &str = "ForCausalLM";

/// The keys of a `config.json`. What was never asked for and is not known to change nothing is refused by [`finish`](Self::finish), so
/// that a key that candle does not read is never left out in silence.
pub(crate) struct Keys<'a> {
    raw: &'a Map<String, Value>,
    path: &'a Path,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(raw: &'a Map<String, Value>, path: &'a Path) -> Self {
        Self { raw, path, asked: RefCell::new(BTreeSet::from(["architectures", "model_type"])) }
    }

    /// The value of a key; none where it is null or not there.
    pub(crate) fn value(&self, key: &'static str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(key);
        self.raw.get(key).filter(|value| !value.is_null())
    }

    /// A key that the family's class in transformers does not read, whatever stands there.
    pub(crate) fn unread(&self, keys: &[&'static str]) {
        self.asked.borrow_mut().extend(keys);
    }

    pub(crate) fn text(&self, key: &'static str) -> Result<Option<&'a str>, FamilyError> {
        let text = |value: &'a Value| value.as_str().ok_or_else(|| self.problem(key, "must be a text"));
        self.value(key).map(text).transpose()
    }

    /// A whole number that is not negative; none where it is null or not there.
    pub(crate) fn number(&self, key: &'static str) -> Result<Option<usize>, FamilyError> {
        let number = |value: &Value| {
            let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
            number.ok_or_else(|| self.problem(key, "must be a whole number that is not negative"))
        };
        self.value(key).map(number).transpose()
    }

    pub(crate) fn needed(&self, key: &'static str) -> Result<usize, FamilyError> {
        self.number(key)?.ok_or_else(|| self.problem(key, "is missing"))
    }

    /// A number above 0; none where it is null or not there.
    pub(crate) fn real(&self, key: &'static str) -> Result<Option<f64>, FamilyError> {
        self.real_of(key, self.value(key))
    }

    /// The same of a value that does not stand at the top; `name` is its place.
    pub(crate) fn real_of(&self, name: &str, value: Option<&Value>) -> Result<Option<f64>, FamilyError> {
        let real = |value: &Value| {
            let number = value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
            number.ok_or_else(|| self.problem(name, "must be a number above 0"))
        };
        value.filter(|value| !value.is_null()).map(real).transpose()
    }

    /// A number above 0; `absent` where the key is not there, and none where it is null.
    pub(crate) fn real_or(&self, key: &'static str, absent: f64) -> Result<Option<f64>, FamilyError> {
        let absent = (!self.raw.contains_key(key)).then_some(absent);
        Ok(self.real(key)?.or(absent))
    }

    pub(crate) fn needed_real(&self, key: &'static str) -> Result<f64, FamilyError> {
        self.real(key)?.ok_or_else(|| self.problem(key, "is missing"))
    }

    pub(crate) fn flag(&self, key: &'static str, absent: bool) -> Result<bool, FamilyError> {
        self.value(key)
            .map_or(Ok(absent), |value| value.as_bool().ok_or_else(|| self.problem(key, "must be true or false")))
    }

    /// A flag of which candle computes one value alone.
    pub(crate) fn only(&self, key: &'static str, value: bool, absent: bool) -> Result<(), FamilyError> {
        match self.flag(key, absent)? == value {
            true => Ok(()),
            false => Err(self.problem(key, &format!("is {}, which candle does not compute", !value))),
        }
    }

    /// A key that must be null or not there, for candle computes nothing by it.
    pub(crate) fn none(&self, key: &'static str) -> Result<(), FamilyError> {
        match self.value(key) {
            None => Ok(()),
            Some(value) => Err(self.problem(key, &format!("is {value}, which candle does not compute"))),
        }
    }

    /// An activation by transformers' name for it.
    pub(crate) fn activation(&self, key: &'static str, absent: &str) -> Result<Activation, FamilyError> {
        match self.text(key)?.unwrap_or(absent) {
            "silu" | "swish" => Ok(Activation::Silu),
            "gelu" => Ok(Activation::Gelu),
            "gelu_new" => Ok(Activation::NewGelu),
            "gelu_pytorch_tanh" => Ok(Activation::GeluPytorchTanh),
            "relu" => Ok(Activation::Relu),
            other => {
                let known = "silu, gelu, gelu_new, gelu_pytorch_tanh and relu";
                Err(self.problem(key, &format!("is `{other}`, which is not supported; supported are {known}")))
            }
        }
    }

    /// That nothing is left that somebody should have asked for.
    ///
    /// # Errors
    /// The first key that could change what the model computes and that was not read.
    pub(crate) fn finish(self) -> Result<(), FamilyError> {
        let architectures = self.raw.get("architectures").and_then(Value::as_array);
        let causal = |name: &Value| name.as_str().is_some_and(|name| name.ends_with(CAUSAL));
        if architectures.is_some_and(|listed| !listed.is_empty() && !listed.iter().any(causal)) {
            let problem = format!("names no decoder for text, which ends in `{CAUSAL}`");
            return Err(self.problem("architectures", &problem));
        }
        let asked = self.asked.borrow();
        let left = self.raw.iter().find(|(key, value)| {
            !value.is_null() && !asked.contains(key.as_str()) && !HARMLESS.contains(&key.as_str())
        });
        match left {
            None => Ok(()),
            Some((key, _)) => {
                let problem = "is not known to the engine candle and could change what the model computes: take it out if it does not";
                Err(self.problem(key, problem))
            }
        }
    }

    pub(crate) fn problem(&self, key: &str, problem: &str) -> FamilyError {
        FamilyError::Key { path: self.path.to_owned(), key: key.to_owned(), problem: problem.to_owned() }
    }
}
