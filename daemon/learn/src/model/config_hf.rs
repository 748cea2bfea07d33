use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    Architecture, ModelConfig, ModelError, Rope, RopeScaling,
    config::{SUPPORTED_ARCHITECTURES, SUPPORTED_ROPE_SCALINGS},
};

const ROPE_THETA_DEFAULT: f64 = 10_000.0;
/// SmolLM3's `no_rope_layer_interval` where its file does not say.
const NO_ROPE_LAYER_INTERVAL_DEFAULT: usize = 4;

/// What is read of `config.json`, in the forms of transformers 4 and 5.
#[derive(Deserialize)]
struct HfConfig {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    rms_norm_eps: f64,
    max_position_embeddings: usize,
    hidden_act: Option<String>,
    tie_word_embeddings: Option<bool>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Map<String, Value>>,
    rope_parameters: Option<Map<String, Value>>,
    partial_rotary_factor: Option<f64>,
    sliding_window: Option<usize>,
    use_sliding_window: Option<bool>,
    no_rope_layers: Option<Vec<u8>>,
    no_rope_layer_interval: Option<usize>,
    quantization_config: Option<Map<String, Value>>,
}

impl ModelConfig {
    /// The shape that a `config.json` describes. `path` is its place, for errors.
    ///
    /// # Errors
    /// Where it is malformed, or describes a model that the decoder does not know.
    pub fn from_hf(text: &str, path: &Path) -> Result<Self, ModelError> {
        let problem = |key: &str, problem: &str| ModelError::Config {
            path: path.to_owned(),
            key: key.to_owned(),
            problem: problem.to_owned(),
        };
        let unsupported = |what: String, supported| ModelError::Unsupported { path: path.to_owned(), what, supported };
        // The architecture first: another one's file may lack what is required below.
        let raw: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| ModelError::NotAModel { path: path.to_owned(), problem: format!("not JSON: {error}") })?;
        let model_type =
            raw.get("model_type").and_then(Value::as_str).ok_or_else(|| problem("model_type", "is missing"))?;
        let architecture = Architecture::from_model_type(model_type)
            .ok_or_else(|| unsupported(format!("the architecture `{model_type}`"), SUPPORTED_ARCHITECTURES))?;
        let hf: HfConfig = serde_json::from_value(Value::Object(raw))
            .map_err(|error| ModelError::NotAModel { path: path.to_owned(), problem: error.to_string() })?;

        if let Some(act) = hf.hidden_act.as_deref().filter(|act| *act != "silu") {
            return Err(unsupported(format!("the activation `{act}`"), "silu"));
        }
        if hf.partial_rotary_factor.is_some_and(|factor| factor != 1.0) {
            return Err(problem("partial_rotary_factor", "is not 1: rotating a part of each head is not supported"));
        }
        if hf.quantization_config.is_some() {
            return Err(unsupported("`quantization_config`".to_owned(), "f32, f16 and bf16 weights, or a GGUF file"));
        }
        let scaling = hf.rope_parameters.as_ref().or(hf.rope_scaling.as_ref());
        let theta_in_parameters = scaling.and_then(|scaling| scaling.get("rope_theta")).and_then(Value::as_f64);
        let config = Self {
            architecture,
            vocab_size: hf.vocab_size,
            hidden_size: hf.hidden_size,
            intermediate_size: hf.intermediate_size,
            layers: hf.num_hidden_layers,
            heads: hf.num_attention_heads,
            kv_heads: hf.num_key_value_heads.unwrap_or(hf.num_attention_heads),
            head_dim: hf.head_dim.unwrap_or(hf.hidden_size / hf.num_attention_heads.max(1)),
            rms_norm_eps: hf.rms_norm_eps,
            rope: Rope {
                theta: theta_in_parameters.or(hf.rope_theta).unwrap_or(ROPE_THETA_DEFAULT),
                scaling: rope_scaling(scaling, path)?,
            },
            rope_layers: hf.rope_layers(architecture),
            positions_max: hf.max_position_embeddings.min(hf.window(architecture).unwrap_or(usize::MAX)),
            // The default of transformers' configuration classes.
            tied_head: hf.tie_word_embeddings.unwrap_or(architecture == Architecture::SmolLm3),
            qk_norm: architecture == Architecture::Qwen3,
        };
        config.check(path)?;
        Ok(config)
    }

    /// A `config.json` in the form of transformers 4, which 5 reads too.
    pub(super) fn to_hf(&self) -> Map<String, Value> {
        let scaling = match self.rope.scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear { factor } => json!({ "rope_type": "linear", "factor": factor }),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                "original_max_position_embeddings": original_positions,
            }),
        };
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
            "rope_scaling": scaling,
            "max_position_embeddings": self.positions_max,
            "tie_word_embeddings": self.tied_head,
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

impl HfConfig {
    fn rope_layers(&self, architecture: Architecture) -> Vec<bool> {
        if architecture != Architecture::SmolLm3 {
            return vec![true; self.num_hidden_layers];
        }
        // The key says "no", but transformers reads a 1 as a layer with rope.
        if let Some(layers) = &self.no_rope_layers {
            return layers.iter().map(|&rope| rope != 0).collect();
        }
        let interval = self.no_rope_layer_interval.unwrap_or(NO_ROPE_LAYER_INTERVAL_DEFAULT).max(1);
        (1..=self.num_hidden_layers).map(|layer| layer % interval != 0).collect()
    }

    fn window(&self, architecture: Architecture) -> Option<usize> {
        match architecture {
            Architecture::Llama => None,
            Architecture::Mistral => self.sliding_window,
            Architecture::Qwen2 | Architecture::Qwen3 | Architecture::SmolLm3 => {
                self.sliding_window.filter(|_| self.use_sliding_window == Some(true))
            }
        }
    }
}

fn rope_scaling(scaling: Option<&Map<String, Value>>, path: &Path) -> Result<RopeScaling, ModelError> {
    let Some(scaling) = scaling else { return Ok(RopeScaling::None) };
    let number = |key: &str| {
        let number = scaling.get(key).and_then(Value::as_f64).filter(|number| *number > 0.0);
        number.ok_or_else(|| ModelError::Config {
            path: path.to_owned(),
            key: format!("rope_scaling.{key}"),
            problem: "is missing, or not a number above 0".to_owned(),
        })
    };
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type")).and_then(Value::as_str).unwrap_or("default");
    match kind {
        "default" => Ok(RopeScaling::None),
        "linear" => Ok(RopeScaling::Linear { factor: number("factor")? }),
        "llama3" => Ok(RopeScaling::Llama3 {
            factor: number("factor")?,
            low_freq_factor: number("low_freq_factor")?,
            high_freq_factor: number("high_freq_factor")?,
            original_positions: number("original_max_position_embeddings")? as usize,
        }),
        other => Err(ModelError::Unsupported {
            path: path.to_owned(),
            what: format!("the rope scaling `{other}`"),
            supported: SUPPORTED_ROPE_SCALINGS,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let error = parse(set("rope_scaling", json!({ "rope_type": "yarn", "factor": 4.0 }))).unwrap_err();
        assert!(error.contains("the rope scaling `yarn` is not supported"), "{error}");
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
    fn a_sliding_window_limits_the_context_where_it_is_used() {
        let windowed = |model_type: &'static str, used: bool| {
            parse(|config| {
                set("sliding_window", json!(32))(config);
                set("model_type", json!(model_type))(config);
                set("use_sliding_window", json!(used))(config);
            })
        };
        assert_eq!(windowed("mistral", false).unwrap().positions_max, 32);
        assert_eq!(windowed("qwen2", false).unwrap().positions_max, 128);
        assert_eq!(windowed("qwen2", true).unwrap().positions_max, 32);
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
}
