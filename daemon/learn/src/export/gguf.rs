//! What GGUF files of adapters and of models share.

use candle_core::quantized::gguf_file::Value;

use super::ExportError;
use crate::model::{Architecture, Biases, ModelConfig, RopeScaling};

/// The version of the quantised types (`GGML_QNT_VERSION`).
const QUANTIZATION_VERSION: u32 = 2;
/// What llama.cpp has in its code for SmolLM3 (`n_no_rope_layer_step`).
const SMOLLM3_NO_ROPE_LAYER_INTERVAL: usize = 4;

/// The name of the architecture in llama.cpp, of a model that it computes as we do.
///
/// # Errors
/// Where llama.cpp would compute something else than the base model is.
pub(super) fn architecture(format: &'static str, config: &ModelConfig) -> Result<&'static str, ExportError> {
    let refused = |what: &str| {
        let what = format!("a {} model with {what}", config.architecture);
        Err(ExportError::Refused { format, what, instead: "llama.cpp has no place for it; export another form" })
    };
    let Biases { qkv, o, feed_forward } = config.biases;
    let name = match config.architecture {
        // Its converter takes Mistral's class for Llama's.
        Architecture::Llama | Architecture::Mistral => "llama",
        Architecture::Qwen2 => "qwen2",
        Architecture::Qwen3 => "qwen3",
        Architecture::SmolLm3 => "smollm3",
    };
    if name != "llama" && (o || feed_forward || qkv != (config.architecture == Architecture::Qwen2)) {
        return refused("such biases on its linear layers");
    }
    let has_rope = |layer: usize| {
        config.architecture != Architecture::SmolLm3 || !(layer + 1).is_multiple_of(SMOLLM3_NO_ROPE_LAYER_INTERVAL)
    };
    if (0..config.layers).any(|layer| config.rope_layers.get(layer) != Some(&has_rope(layer))) {
        return refused("position encoding in other layers than its class usually has it");
    }
    match config.rope.scaling {
        RopeScaling::None | RopeScaling::Linear { .. } => Ok(name),
        RopeScaling::Llama3 { .. } if name == "llama" => Ok(name),
        RopeScaling::Llama3 { .. } => refused("Llama 3's frequencies"),
        RopeScaling::Yarn(_) => refused("frequencies stretched by YaRN"),
    }
}

/// The keys that every file begins with.
pub(super) fn general(architecture: &str, kind: &str, name: &str) -> Vec<(String, Value)> {
    let text = |text: &str| Value::String(text.to_owned());
    let keys = [
        ("architecture", text(architecture)),
        ("type", text(kind)),
        ("name", text(name)),
        ("quantization_version", Value::U32(QUANTIZATION_VERSION)),
    ];
    keys.into_iter().map(|(key, value)| (format!("general.{key}"), value)).collect()
}

/// The shape of a model, in the keys of llama.cpp's converter.
pub(super) fn shape(architecture: &str, config: &ModelConfig) -> Vec<(String, Value)> {
    let number = |number: usize| Value::U32(number as u32);
    let mut keys = vec![
        ("block_count", number(config.layers)),
        ("context_length", number(config.positions_max)),
        ("embedding_length", number(config.hidden_size)),
        ("feed_forward_length", number(config.intermediate_size)),
        ("attention.head_count", number(config.heads)),
        ("attention.head_count_kv", number(config.kv_heads)),
        ("attention.key_length", number(config.head_dim)),
        ("attention.value_length", number(config.head_dim)),
        ("attention.layer_norm_rms_epsilon", Value::F32(config.rms_norm_eps as f32)),
        ("rope.freq_base", Value::F32(config.rope.theta as f32)),
        ("rope.dimension_count", number(config.head_dim)),
        ("vocab_size", number(config.vocab_size)),
    ];
    if let RopeScaling::Linear { factor } = &config.rope.scaling {
        keys.push(("rope.scaling.type", Value::String("linear".to_owned())));
        keys.push(("rope.scaling.factor", Value::F32(*factor as f32)));
    }
    keys.into_iter().map(|(key, value)| (format!("{architecture}.{key}"), value)).collect()
}
