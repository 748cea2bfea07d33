use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use super::ModelError;

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

/// The ways of stretching rotary frequencies that [`RopeScaling`] has, for messages.
pub(crate) const SUPPORTED_ROPE_SCALINGS: &str = "linear and llama3";

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

/// Rotary position encoding (RoFormer, Su 2021), in the row order of Hugging Face ("rotate half").
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The base of the geometric series of wave lengths.
    pub theta: f64,
    /// How the frequencies are stretched for longer contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// As they are.
    None,
    /// All divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: long waves divided by `factor`, short ones kept, a ramp between.
    Llama3 {
        /// The divisor of the long waves.
        factor: f64,
        /// Waves longer than `original_positions / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Waves shorter than `original_positions / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// The context length of pre-training.
        original_positions: usize,
    },
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
    /// Position encoding.
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

    /// That the numbers make a model at all.
    pub(super) fn check(&self, path: &Path) -> Result<(), ModelError> {
        let problem = |key: &str, problem: &str| {
            let (key, problem) = (key.to_owned(), problem.to_owned());
            Err(ModelError::Config { path: path.to_owned(), key, problem })
        };
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("num_key_value_heads", self.kv_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.positions_max),
        ];
        if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return problem(key, "is 0");
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return problem("num_key_value_heads", "does not divide the number of attention heads");
        }
        if !self.head_dim.is_multiple_of(2) {
            return problem("head_dim", "is odd: it cannot be rotated");
        }
        if self.rope_layers.len() != self.layers {
            return problem("no_rope_layers", "has another length than there are layers");
        }
        Ok(())
    }
}

impl Rope {
    /// The angular frequency of each of the `head_dim / 2` planes, in radians per position. Computed in f32 as
    /// transformers does (`modeling_rope_utils.py`), so that the angles agree to the last bit at long positions.
    pub fn inverse_frequencies(&self, head_dim: usize) -> Vec<f32> {
        let plain = (0..head_dim / 2).map(|plane| {
            let exponent = (2 * plane) as f32 / head_dim as f32;
            1.0 / (self.theta as f32).powf(exponent)
        });
        match self.scaling {
            RopeScaling::None => plain.collect(),
            RopeScaling::Linear { factor } => plain.map(|frequency| frequency / factor as f32).collect(),
            RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_positions } => {
                let original = original_positions as f64;
                plain
                    .map(|frequency| {
                        let wave_length = std::f64::consts::TAU / f64::from(frequency);
                        if wave_length < original / high_freq_factor {
                            return frequency;
                        }
                        if wave_length > original / low_freq_factor {
                            return (f64::from(frequency) / factor) as f32;
                        }
                        let share = (original / wave_length - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        ((1.0 - share) * f64::from(frequency) / factor + share * f64::from(frequency)) as f32
                    })
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llama_3_scaling_keeps_short_waves_and_divides_long_ones() {
        let plain = Rope { theta: 500_000.0, scaling: RopeScaling::None };
        let scaled = Rope {
            theta: 500_000.0,
            scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_positions: 8192,
            },
        };
        let (plain, scaled) = (plain.inverse_frequencies(128), scaled.inverse_frequencies(128));
        assert_eq!(plain[0], 1.0);
        assert_eq!(scaled[0], plain[0]);
        assert_eq!(scaled[63], plain[63] / 8.0);
        let ratios: Vec<f32> = plain.iter().zip(&scaled).map(|(plain, scaled)| plain / scaled).collect();
        assert!(ratios.windows(2).all(|pair| pair[0] <= pair[1] * (1.0 + 1e-6)), "{ratios:?}");
        assert!(ratios.iter().any(|&ratio| ratio > 1.1 && ratio < 7.9));
    }
}
