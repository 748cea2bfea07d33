use candle_transformers::models::gemma3::{Config, Model};
use serde_json::{Map, Value};

use super::{Family, Feed, Plan, gemma, network};
use crate::{FamilyError, keys::Keys, weights::Factor};

/// What transformers takes where the file does not say.
const WINDOW_DEFAULT: usize = 4096;
const PATTERN_DEFAULT: usize = 6;
const THETA_DEFAULT: f64 = 1_000_000.0;
const LOCAL_THETA_DEFAULT: f64 = 10_000.0;
const PARAMETERS: &str = "rope_parameters";

/// Gemma 3, text. Every so many layers one attends to all; the others have a window, with a position encoding of their own. What
/// [`gemma::query_factor`] says is put into the norm of the queries.
pub(super) struct Gemma3;

impl Family for Gemma3 {
    fn model_type(&self) -> &'static str {
        "gemma3_text"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = gemma::sizes(keys)?;
        let window = keys.number("sliding_window")?.unwrap_or(WINDOW_DEFAULT);
        if window == 0 {
            return Err(keys.problem("sliding_window", "is 0"));
        }
        // transformers goes by `hidden_activation`.
        keys.unread(&["hidden_act"]);
        let (theta, local_theta) = thetas(keys)?;
        let factor = gemma::query_factor(keys, &sizes)?;
        let factors = vec![Factor { weights: "q_norm.weight", factor, above_one: true }];
        let config = Config {
            attention_bias: keys.flag("attention_bias", false)?,
            head_dim: sizes.head_dim,
            hidden_activation: keys.activation("hidden_activation", "gelu_pytorch_tanh")?,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            num_attention_heads: sizes.heads,
            num_hidden_layers: sizes.layers,
            num_key_value_heads: sizes.kv_heads,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            rope_theta: theta,
            rope_local_base_freq: local_theta,
            vocab_size: sizes.vocab,
            final_logit_softcapping: keys.real("final_logit_softcapping")?,
            attn_logit_softcapping: keys.real("attn_logit_softcapping")?,
            query_pre_attn_scalar: sizes.head_dim,
            // No sequence is longer, and the cache of a layer is made for this many.
            sliding_window: window.min(sizes.positions),
            sliding_window_pattern: pattern(keys, sizes.layers)?,
            max_position_embeddings: sizes.positions,
        };
        // Its cache takes the values of several tokens and several heads in only where nobody attends to all.
        let feed = if sizes.kv_heads == 1 { Feed::Window(window) } else { Feed::Single };
        let build = network(config, |config, weights| Model::new(false, config, weights), Model::forward);
        Ok(Plan { sizes, tied: true, factors, feed, build })
    }
}

/// Of how many layers the last attends to all.
fn pattern(keys: &Keys<'_>, layers: usize) -> Result<usize, FamilyError> {
    let of_files = [keys.number("sliding_window_pattern")?, keys.number("_sliding_window_pattern")?];
    let said = of_files.into_iter().flatten().next().unwrap_or(PATTERN_DEFAULT);
    let Some(types) = keys.value("layer_types") else {
        return match said {
            0 => Err(keys.problem("sliding_window_pattern", "is 0")),
            said => Ok(said),
        };
    };
    let problem =
        "must name a type for each layer: `sliding_attention` for all but every so many, those `full_attention`";
    let wrong = || keys.problem("layer_types", problem);
    let types = types.as_array().filter(|types| types.len() == layers).ok_or_else(wrong)?;
    let full = |layer_type: &Value| match layer_type.as_str() {
        Some("full_attention") => Some(true),
        Some("sliding_attention") => Some(false),
        _ => None,
    };
    let full: Vec<bool> = types.iter().map(full).collect::<Option<_>>().ok_or_else(wrong)?;
    let pattern = full.iter().position(|full| *full).map_or(layers + 1, |first| first + 1);
    let fits = full.iter().enumerate().all(|(layer, full)| (layer + 1).is_multiple_of(pattern) == *full);
    fits.then_some(pattern).ok_or_else(wrong)
}

/// The bases of the wave lengths of layers that attend to all, and of those with a window.
fn thetas(keys: &Keys<'_>) -> Result<(f64, f64), FamilyError> {
    keys.unscaled("rope_scaling", keys.object("rope_scaling")?)?;
    let (global, local) = (keys.real("rope_theta")?, keys.real("rope_local_base_freq")?);
    let parameters = keys.object(PARAMETERS)?;
    let of = |layer_type: &str| -> Result<Option<f64>, FamilyError> {
        let Some(own) = parameters.and_then(|parameters| parameters.get(layer_type)) else { return Ok(None) };
        let own: Option<&Map<String, Value>> = own.as_object();
        keys.unscaled(&format!("{PARAMETERS}.{layer_type}"), own)?;
        let theta = own.and_then(|own| own.get("rope_theta"));
        keys.real_of(&format!("{PARAMETERS}.{layer_type}.rope_theta"), theta)
    };
    if let Some((key, _)) = parameters.into_iter().flatten().find(|(_, value)| !value.is_object()) {
        let problem = "must hold `full_attention` and `sliding_attention`, each with parameters of its own";
        return Err(keys.problem(&format!("{PARAMETERS}.{key}"), problem));
    }
    let theta = of("full_attention")?.or(global).unwrap_or(THETA_DEFAULT);
    Ok((theta, of("sliding_attention")?.or(local).unwrap_or(LOCAL_THETA_DEFAULT)))
}
