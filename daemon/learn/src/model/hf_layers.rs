use serde_json::Value;

use super::{Architecture, ModelConfig, ModelError, hf_keys::Keys};

/// SmolLM3's `no_rope_layer_interval` where its file does not say.
const NO_ROPE_LAYER_INTERVAL_DEFAULT: usize = 4;
/// The first layer with a window in Qwen's models where the file does not say.
const MAX_WINDOW_LAYERS_DEFAULT: usize = 28;

/// For each layer, whether it has position encoding.
pub(super) fn rope_layers(keys: &Keys<'_>, config: &ModelConfig) -> Result<Vec<bool>, ModelError> {
    if config.architecture != Architecture::SmolLm3 {
        return Ok(vec![true; config.layers]);
    }
    let Some(listed) = keys.raw.get("no_rope_layers").filter(|listed| !listed.is_null()) else {
        let interval = keys.number_or("no_rope_layer_interval", None)?.unwrap_or(NO_ROPE_LAYER_INTERVAL_DEFAULT);
        if interval == 0 {
            return Err(keys.problem("no_rope_layer_interval", "is 0"));
        }
        return Ok((1..=config.layers).map(|layer| layer % interval != 0).collect());
    };
    // The key says "no", but transformers reads a 1 as a layer with rope; it does not mind if there are more than layers.
    let listed = listed.as_array().filter(|listed| listed.len() >= config.layers);
    let flags = listed.map(|listed| listed.iter().take(config.layers).map(|flag| Some(flag.as_i64()? != 0)));
    flags
        .and_then(Iterator::collect)
        .ok_or_else(|| keys.problem("no_rope_layers", "must hold a 0 or a 1 for each layer"))
}

/// The window of the layers that have one, `absent` where the file does not say: inside it, sliding attention is plain causal
/// attention.
pub(super) fn window(
    keys: &Keys<'_>,
    config: &ModelConfig,
    absent: Option<usize>,
) -> Result<Option<usize>, ModelError> {
    let architecture = config.architecture;
    let is_used = match architecture {
        Architecture::Llama => false,
        Architecture::Mistral => true,
        Architecture::Qwen2 | Architecture::Qwen3 | Architecture::SmolLm3 => keys.flag("use_sliding_window", false)?,
    };
    let window = keys.number_or("sliding_window", absent)?.filter(|_| is_used);
    let slides = |layer: usize, first: usize| match architecture {
        Architecture::SmolLm3 => !config.rope_layers.get(layer).copied().unwrap_or(true),
        _ => layer >= first,
    };
    let sliding = match keys.raw.get("layer_types").filter(|types| !types.is_null()) {
        // Neither has layers of several types.
        Some(_) if matches!(architecture, Architecture::Llama | Architecture::Mistral) => is_used,
        Some(types) => any_slides(keys, types, config.layers)?,
        None => {
            let first = match architecture {
                Architecture::Qwen2 | Architecture::Qwen3 => {
                    keys.number_or("max_window_layers", Some(MAX_WINDOW_LAYERS_DEFAULT))?.unwrap_or(0)
                }
                _ => 0,
            };
            (0..config.layers).any(|layer| slides(layer, first))
        }
    };
    match window.filter(|_| sliding) {
        Some(0) => Err(keys.problem("sliding_window", "is 0")),
        window => Ok(window),
    }
}

fn any_slides(keys: &Keys<'_>, types: &Value, layers: usize) -> Result<bool, ModelError> {
    let problem = || keys.problem("layer_types", "must hold `full_attention` or `sliding_attention` for each layer");
    let types = types.as_array().filter(|types| types.len() == layers).ok_or_else(problem)?;
    let mut any = false;
    for kind in types {
        match kind.as_str() {
            Some("full_attention") => {}
            Some("sliding_attention") => any = true,
            _ => return Err(problem()),
        }
    }
    Ok(any)
}
