use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use super::{ModelError, Rope};
use crate::metadata::KeyError;

/// The members of the Llama family that the decoder knows. They differ in flags of [`ModelConfig`], and in what their
/// files call things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Llama 2 and 3, SmolLM2.
    Llama,
    /// Mistral 7B and its kin.
    Mistral,
    /// Qwen 2 and 2.5: biases on q, k and v.
    Qwen2,
    /// Qwen 3: RMS norm on each head of q and k.
    Qwen3,
    /// SmolLM3: no position encoding in every fourth layer.
    SmolLm3,
}

/// The architectures of [`Architecture::from_model_type`], for messages.
pub(crate) const SUPPORTED_ARCHITECTURES: &str = "llama, mistral, qwen2, qwen3, smollm3";

/// More layers than any model of the family has.
const LAYERS_MAX: usize = 4096;
/// A side of a matrix that no model comes near to; products of three of them can still be counted.
const SIDE_MAX: usize = 1 << 20;
/// The width of a head that no model comes near to.
const HEAD_DIM_MAX: usize = 1 << 12;
/// A vocabulary that no model comes near to.
const VOCABULARY_MAX: usize = 1 << 24;
/// The longest context whose positions are told apart: angles are computed in f32, which counts exactly up to here.
const POSITIONS_MAX: usize = 1 << 24;

impl Architecture {
    /// The architecture that Hugging Face's `model_type` names.
    pub fn from_model_type(model_type: &str) -> Option<Self> {
        match model_type {
            "llama" => Some(Self::Llama),
            "mistral" => Some(Self::Mistral),
            "qwen2" => Some(Self::Qwen2),
            "qwen3" => Some(Self::Qwen3),
            "smollm3" => Some(Self::SmolLm3),
            _ => None,
        }
    }

    /// Hugging Face's `model_type`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::SmolLm3 => "smollm3",
        }
    }

    /// The class that transformers loads it with.
    pub fn transformers_class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::SmolLm3 => "SmolLM3ForCausalLM",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model_type())
    }
}

/// The shape of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Which member of the family.
    pub architecture: Architecture,
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Number of layers.
    pub layers: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// The epsilon of every RMS norm.
    pub rms_norm_eps: f64,
    /// How positions are encoded.
    pub rope: Rope,
    /// For each layer, whether it has position encoding (SmolLM3 leaves it out in some).
    pub rope_layers: Vec<bool>,
    /// Tokens that a sequence may have: the trained context, or the sliding window where that is shorter, since inside
    /// the window sliding attention is plain causal attention.
    pub positions_max: usize,
    /// Whether the head is the embedding table.
    pub tied_head: bool,
    /// Whether q and k are normalised head by head before rope.
    pub qk_norm: bool,
    /// Which linear layers have a bias.
    pub biases: Biases,
}

/// Which linear layers have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Biases {
    /// Queries, keys and values.
    pub qkv: bool,
    /// The output of attention.
    pub o: bool,
    /// All three of the feed-forward layer.
    pub feed_forward: bool,
}

impl ModelConfig {
    /// Width of all query heads together.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of all key heads together.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// Whether the biases are such as the architecture's class in transformers can have.
    pub(super) fn has_biases_of_its_class(&self) -> bool {
        let Biases { qkv, o, feed_forward } = self.biases;
        match self.architecture {
            Architecture::Llama | Architecture::SmolLm3 => qkv == o,
            Architecture::Mistral => self.biases == Biases::default(),
            Architecture::Qwen2 => qkv && !o && !feed_forward,
            Architecture::Qwen3 => qkv == o && !feed_forward,
        }
    }

    /// That the numbers make a model at all, and one that can be counted: nothing is made by them before.
    pub(super) fn check(&self, path: &Path) -> Result<(), ModelError> {
        let problem = |key: &str, problem: &str| Err(ModelError::config(path, KeyError::new(key, problem.to_owned())));
        let sizes = [
            ("vocab_size", self.vocab_size, VOCABULARY_MAX),
            ("hidden_size", self.hidden_size, SIDE_MAX),
            ("intermediate_size", self.intermediate_size, SIDE_MAX),
            ("num_hidden_layers", self.layers, LAYERS_MAX),
            ("num_attention_heads", self.heads, SIDE_MAX),
            ("num_key_value_heads", self.kv_heads, SIDE_MAX),
            ("head_dim", self.head_dim, HEAD_DIM_MAX),
            ("max_position_embeddings", self.positions_max, POSITIONS_MAX),
        ];
        for (key, size, max) in sizes {
            if size == 0 {
                return problem(key, "is 0");
            }
            if size > max {
                return problem(key, &format!("is {size}, but at most {max} is possible here"));
            }
        }
        let reals = [("rms_norm_eps", self.rms_norm_eps, 0.0), ("rope_theta", self.rope.theta, 1.0)];
        if let Some((key, real, above)) = reals.iter().find(|(_, real, above)| !(real > above && real.is_finite())) {
            return problem(key, &format!("is {real}, which is no number above {above}"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return problem("num_key_value_heads", "does not divide the number of attention heads");
        }
        if !self.head_dim.is_multiple_of(2) {
            return problem("head_dim", "is odd: it cannot be rotated");
        }
        Ok(())
    }
}
