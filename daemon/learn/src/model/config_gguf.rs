use std::path::Path;

use super::{
    Architecture, Biases, ModelConfig, ModelError, Rope, RopeScaling,
    config::SUPPORTED_ARCHITECTURES,
    gguf::{Gguf, ROPE_FACTORS},
};
use crate::metadata::{KeyError, Metadata, required};

const ROPE_THETA_DEFAULT: f64 = 10_000.0;
const SUPPORTED_ROPE_SCALINGS: &str = "linear and llama3";
/// llama.cpp has it in its code (`src/models/smollm3.cpp`), not in the file.
const SMOLLM3_NO_ROPE_LAYER_INTERVAL: usize = 4;
/// How far factors read from a file may be from those that Llama 3's rule gives; both are f32.
const ROPE_FACTOR_TOLERANCE: f32 = 1e-4;

impl ModelConfig {
    /// The shape that the metadata of a GGUF file describes.
    pub(super) fn from_gguf(gguf: &Gguf<'_>, path: &Path) -> Result<Self, ModelError> {
        let at = |error: KeyError| ModelError::config(path, error);
        let name = required("general.architecture", gguf.metadata().text("general.architecture").map_err(at)?);
        let name = name.map_err(at)?;
        let architecture = Architecture::from_model_type(name).ok_or_else(|| ModelError::Unsupported {
            path: path.to_owned(),
            what: format!("the architecture `{name}`"),
            supported: SUPPORTED_ARCHITECTURES,
        })?;
        let keys = Keys { metadata: gguf.metadata(), architecture: name };
        let embeddings = gguf.infos.get("token_embd.weight").ok_or_else(|| ModelError::Tensor {
            path: path.to_owned(),
            tensor: "token_embd.weight".to_owned(),
            problem: "is missing".to_owned(),
        })?;
        let vocab_size = embeddings.shape.dims().first().copied().unwrap_or_default();
        let mut config = keys.config(architecture, vocab_size).map_err(at)?;
        config.tied_head = !gguf.infos.contains_key("output.weight");

        let scaling = keys.metadata.text(&keys.key("rope.scaling.type")).map_err(at)?.unwrap_or("none");
        config.rope.scaling = match scaling {
            "none" => RopeScaling::None,
            "linear" => RopeScaling::Linear { factor: keys.positive("rope.scaling.factor").map_err(at)? },
            other => {
                return Err(ModelError::Unsupported {
                    path: path.to_owned(),
                    what: format!("the rope scaling `{other}`"),
                    supported: SUPPORTED_ROPE_SCALINGS,
                });
            }
        };
        // llama.cpp takes the biases that there are.
        let has = |part: &str| gguf.infos.contains_key(&format!("blk.0.{part}.bias"));
        config.biases = Biases { qkv: has("attn_q"), o: has("attn_output"), feed_forward: has("ffn_up") };
        config.check(path)?;
        let has_rope = |layer: usize| {
            architecture != Architecture::SmolLm3 || !(layer + 1).is_multiple_of(SMOLLM3_NO_ROPE_LAYER_INTERVAL)
        };
        config.rope_layers = (0..config.layers).map(has_rope).collect();
        if gguf.infos.contains_key(ROPE_FACTORS) {
            let factors = gguf.tensor(ROPE_FACTORS)?.flatten_all()?.to_vec1::<f32>()?;
            config.rope.scaling = llama_3_scaling(&config, &factors).ok_or_else(|| ModelError::Tensor {
                path: path.to_owned(),
                tensor: ROPE_FACTORS.to_owned(),
                problem: "does not follow Llama 3's rule".to_owned(),
            })?;
        }
        Ok(config)
    }
}

struct Keys<'a> {
    metadata: Metadata<'a>,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn number(&self, name: &str) -> Result<usize, KeyError> {
        required(&self.key(name), self.metadata.number(&self.key(name))?)
    }

    fn real(&self, name: &str) -> Result<f64, KeyError> {
        required(&self.key(name), self.metadata.real(&self.key(name))?)
    }

    fn positive(&self, name: &str) -> Result<f64, KeyError> {
        let number = self.real(name)?;
        let is_positive = number > 0.0 && number.is_finite();
        is_positive.then_some(number).ok_or_else(|| KeyError::new(&self.key(name), format!("is {number}, not above 0")))
    }

    fn config(&self, architecture: Architecture, vocab_size: usize) -> Result<ModelConfig, KeyError> {
        let optional = |name: &str| self.metadata.number(&self.key(name));
        let refuse = |name: &str, problem: &str| Err(KeyError { key: self.key(name), problem: problem.to_owned() });
        if optional("expert_count")?.is_some_and(|experts| experts > 0) {
            return refuse("expert_count", "is not 0: mixtures of experts are not supported");
        }
        let heads = self.number("attention.head_count")?;
        let hidden_size = self.number("embedding_length")?;
        let layers = self.number("block_count")?;
        let head_dim = optional("attention.key_length")?.unwrap_or(hidden_size / heads.max(1));
        if optional("attention.value_length")?.is_some_and(|width| width != head_dim) {
            return refuse("attention.value_length", "differs from the keys' length, which is not supported");
        }
        if optional("rope.dimension_count")?.is_some_and(|width| width != head_dim) {
            return refuse("rope.dimension_count", "is not the width of a head: rotating a part is not supported");
        }
        let window = optional("attention.sliding_window")?.filter(|window| *window > 0).unwrap_or(usize::MAX);
        Ok(ModelConfig {
            architecture,
            vocab_size,
            hidden_size,
            intermediate_size: self.number("feed_forward_length")?,
            layers,
            heads,
            kv_heads: optional("attention.head_count_kv")?.unwrap_or(heads),
            head_dim,
            rms_norm_eps: self.real("attention.layer_norm_rms_epsilon")?,
            rope: Rope {
                theta: self.metadata.real(&self.key("rope.freq_base"))?.unwrap_or(ROPE_THETA_DEFAULT),
                scaling: RopeScaling::None,
            },
            rope_layers: Vec::new(),
            positions_max: self.number("context_length")?.min(window),
            tied_head: true,
            qk_norm: architecture == Architecture::Qwen3,
            biases: Biases::default(),
        })
    }
}

/// The parameters of Llama 3's rule that these factors follow. The converter keeps the factors alone; the ramp's ends and
/// the length of pre-training are the same in all models that have been published so, and the largest factor is `factor`.
fn llama_3_scaling(config: &ModelConfig, factors: &[f32]) -> Option<RopeScaling> {
    let factor = factors.iter().copied().fold(1.0, f32::max);
    let scaling = RopeScaling::Llama3 {
        factor: f64::from(factor),
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_positions: 8192,
    };
    let plain = Rope { theta: config.rope.theta, scaling: RopeScaling::None }.inverse_frequencies(config.head_dim);
    let scaled = Rope { theta: config.rope.theta, scaling: scaling.clone() }.inverse_frequencies(config.head_dim);
    let follows = factors.len() == plain.len()
        && factors
            .iter()
            .zip(plain.iter().zip(&scaled))
            .all(|(factor, (plain, scaled))| (factor * scaled / plain - 1.0).abs() < ROPE_FACTOR_TOLERANCE);
    follows.then_some(scaling)
}
