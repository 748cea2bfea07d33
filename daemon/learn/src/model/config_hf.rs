use std::path::Path;

use serde_json::{Map, Value, json};

use super::{
    Architecture, Biases, ModelConfig, ModelError, Rope, config::SUPPORTED_ARCHITECTURES, hf_keys::Keys, hf_layers,
};

/// The names that transformers has for x · sigmoid(x).
const SILU: [&str; 2] = ["silu", "swish"];

/// What transformers 5 takes where a `config.json` does not say (`configuration_*.py`). Sizes without which nothing can be told must
/// be there.
struct Defaults {
    kv_heads: Option<usize>,
    head_dim: Option<usize>,
    tied_head: bool,
    sliding_window: Option<usize>,
}

impl Architecture {
    fn defaults(self) -> Defaults {
        let (kv_heads, head_dim, tied_head, sliding_window) = match self {
            Self::Llama => (None, None, false, None),
            Self::Mistral => (Some(8), None, false, Some(4096)),
            Self::Qwen2 => (Some(32), None, false, Some(4096)),
            Self::Qwen3 => (Some(32), Some(128), false, Some(4096)),
            Self::SmolLm3 => (Some(4), None, true, None),
        };
        Defaults { kv_heads, head_dim, tied_head, sliding_window }
    }
}

impl ModelConfig {
    /// The shape that a `config.json` describes. `path` is its place, for errors.
    ///
    /// # Errors
    /// Where it is malformed, or describes a model that the decoder does not know.
    pub fn from_hf(text: &str, path: &Path) -> Result<Self, ModelError> {
        let raw: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| ModelError::NotAModel { path: path.to_owned(), problem: format!("not JSON: {error}") })?;
        let keys = Keys { raw: &raw, path };
        // The architecture first: another one's file may lack what is required below.
        let model_type = keys.text("model_type")?.ok_or_else(|| keys.problem("model_type", "is missing"))?;
        let architecture = Architecture::from_model_type(model_type)
            .ok_or_else(|| keys.unsupported(format!("the architecture `{model_type}`"), SUPPORTED_ARCHITECTURES))?;
        let defaults = architecture.defaults();
        if let Some(act) = keys.text("hidden_act")?.filter(|act| !SILU.contains(act)) {
            return Err(keys.unsupported(format!("the activation `{act}`"), "silu"));
        }
        if raw.get("quantization_config").is_some_and(|quantization| !quantization.is_null()) {
            return Err(
                keys.unsupported("`quantization_config`".to_owned(), "f32, f16 and bf16 weights, or a GGUF file")
            );
        }
        let (hidden_size, heads) = (keys.needed("hidden_size")?, keys.needed("num_attention_heads")?);
        let layers = keys.needed("num_hidden_layers")?;
        let max_positions = keys.needed("max_position_embeddings")?;
        let head_dim = keys.number_or("head_dim", defaults.head_dim)?.unwrap_or(hidden_size / heads.max(1));
        let biased = |key: &str, has_key: bool| if has_key { keys.flag(key, false) } else { Ok(false) };
        let attention = biased("attention_bias", !matches!(architecture, Architecture::Mistral | Architecture::Qwen2))?;
        let feed_forward = biased("mlp_bias", matches!(architecture, Architecture::Llama | Architecture::SmolLm3))?;
        let mut config = Self {
            architecture,
            vocab_size: keys.needed("vocab_size")?,
            hidden_size,
            intermediate_size: keys.needed("intermediate_size")?,
            layers,
            heads,
            kv_heads: keys.number_or("num_key_value_heads", defaults.kv_heads)?.unwrap_or(heads),
            head_dim,
            rms_norm_eps: keys.real("rms_norm_eps")?,
            rope: Rope::from_hf(&keys, architecture, max_positions)?,
            rope_layers: Vec::new(),
            positions_max: max_positions,
            tied_head: keys.flag("tie_word_embeddings", defaults.tied_head)?,
            qk_norm: architecture == Architecture::Qwen3,
            biases: Biases { qkv: attention || architecture == Architecture::Qwen2, o: attention, feed_forward },
        };
        config.check(path)?;
        config.rope_layers = hf_layers::rope_layers(&keys, &config)?;
        if let Some(window) = hf_layers::window(&keys, &config, defaults.sliding_window)? {
            config.positions_max = config.positions_max.min(window);
        }
        Ok(config)
    }

    /// A `config.json` in the form of transformers 4, which 5 reads too.
    pub(super) fn to_hf(&self) -> Map<String, Value> {
        let value = json!({
            "architectures": [self.architecture.transformers_class()],
            "model_type": self.architecture.model_type(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope.theta,
            "rope_scaling": self.rope.scaling_to_hf(),
            "max_position_embeddings": self.positions_max,
            "tie_word_embeddings": self.tied_head,
            "attention_bias": self.biases.o,
            "mlp_bias": self.biases.feed_forward,
            "use_sliding_window": false,
            "torch_dtype": "float32",
        });
        let Value::Object(mut config) = value else { return Map::new() };
        if self.architecture == Architecture::Mistral {
            // Mistral's class takes 4096 where nothing is said.
            config.insert("sliding_window".to_owned(), Value::Null);
        }
        if self.architecture == Architecture::SmolLm3 {
            let layers: Vec<u8> = self.rope_layers.iter().copied().map(u8::from).collect();
            config.insert("no_rope_layers".to_owned(), json!(layers));
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RopeScaling;

    fn parse(change: impl FnOnce(&mut Map<String, Value>)) -> Result<ModelConfig, String> {
        let mut config = json!({
            "model_type": "llama", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
            "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
            "max_position_embeddings": 128, "hidden_act": "silu", "rope_theta": 500000.0,
        });
        change(config.as_object_mut().unwrap());
        ModelConfig::from_hf(&config.to_string(), Path::new("config.json")).map_err(|error| error.to_string())
    }

    fn set(key: &'static str, value: Value) -> impl FnOnce(&mut Map<String, Value>) {
        move |config| {
            config.insert(key.to_owned(), value);
        }
    }

    #[test]
    fn both_forms_of_rope_are_read() {
        assert_eq!(parse(|_| {}).unwrap().rope, Rope { theta: 500_000.0, scaling: RopeScaling::None });
        let new = parse(set("rope_parameters", json!({ "rope_theta": 7.0, "rope_type": "linear", "factor": 2 })));
        assert_eq!(new.unwrap().rope, Rope { theta: 7.0, scaling: RopeScaling::Linear { factor: 2.0 } });
        let old = parse(set("rope_scaling", json!({ "type": "linear", "factor": 4.0 })));
        assert_eq!(old.unwrap().rope.scaling, RopeScaling::Linear { factor: 4.0 });
    }

    #[test]
    fn what_is_not_supported_is_named() {
        let error = parse(set("rope_scaling", json!({ "rope_type": "longrope", "factor": 4.0 }))).unwrap_err();
        assert!(error.contains("the rope scaling `longrope` is not supported"), "{error}");
        let error = parse(set("model_type", json!("mamba2"))).unwrap_err();
        assert!(error.contains("the architecture `mamba2` is not supported"), "{error}");
        let error = parse(set("num_key_value_heads", json!(3))).unwrap_err();
        assert!(error.contains("`num_key_value_heads`"), "{error}");
        let error = parse(|config| drop(config.remove("hidden_size"))).unwrap_err();
        assert!(error.contains("hidden_size"), "{error}");
    }

    #[test]
    fn smollm3_leaves_rope_out_of_every_fourth_layer() {
        let config = parse(set("model_type", json!("smollm3"))).unwrap();
        assert_eq!(config.rope_layers, [true, true, true, false, true, true, true, false]);
        assert!(config.tied_head);
    }

    #[test]
    fn a_sliding_window_limits_the_context_where_a_layer_has_one() {
        let positions = |keys: Value| {
            let config = parse(|config| {
                set("max_position_embeddings", json!(8192))(config);
                config.extend(keys.as_object().unwrap().clone());
            });
            config.unwrap().positions_max
        };
        assert_eq!(positions(json!({ "sliding_window": 32, "use_sliding_window": true })), 8192, "Llama has none");
        assert_eq!(positions(json!({ "model_type": "mistral", "sliding_window": 32 })), 32);
        assert_eq!(positions(json!({ "model_type": "mistral", "sliding_window": null })), 8192);
        assert_eq!(positions(json!({ "model_type": "mistral" })), 4096, "its class has a default");
        let qwen2 = |keys: Value| {
            let mut all = json!({ "model_type": "qwen2", "sliding_window": 32, "use_sliding_window": true });
            all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            positions(all)
        };
        assert_eq!(qwen2(json!({})), 8192, "28 layers without one are the default");
        assert_eq!(qwen2(json!({ "max_window_layers": 7 })), 32);
        assert_eq!(qwen2(json!({ "max_window_layers": 8 })), 8192);
        assert_eq!(qwen2(json!({ "max_window_layers": 0, "use_sliding_window": false })), 8192);
        let types = |last: &str| {
            let types = [vec!["full_attention"; 7], vec![last]].concat();
            json!({ "layer_types": types })
        };
        assert_eq!(qwen2(types("full_attention")), 8192);
        assert_eq!(qwen2(types("sliding_attention")), 32);
        let smollm3 = json!({ "model_type": "smollm3", "sliding_window": 32, "use_sliding_window": true });
        assert_eq!(positions(smollm3), 32);
        let error = parse(|config| {
            set("model_type", json!("mistral"))(config);
            set("sliding_window", json!(0))(config);
        });
        assert!(error.unwrap_err().contains("`sliding_window` is 0"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for model_type in ["llama", "mistral", "qwen2", "qwen3", "smollm3"] {
            let config = parse(|config| {
                set("model_type", json!(model_type))(config);
                let scaling = json!({
                    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 64,
                });
                set("rope_scaling", scaling)(config);
            });
            let config = config.unwrap();
            let text = Value::Object(config.to_hf()).to_string();
            assert_eq!(ModelConfig::from_hf(&text, Path::new("config.json")).unwrap(), config);
        }
    }

    #[test]
    fn the_table_of_models_names_each_architecture() {
        let table = include_str!("../../../../docs/models.md");
        let first_cell = |line: &str| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned());
        let documented: Vec<String> =
            table.lines().filter_map(first_cell).filter(|cell| cell != "model_type").collect();
        assert_eq!(documented.join(", "), SUPPORTED_ARCHITECTURES);
    }
}
