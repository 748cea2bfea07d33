use candle_transformers::models::gemma2::{Config, Model};

use super::{Family, Feed, Plan, gemma, network};
use crate::{FamilyError, keys::Keys, weights::Factor};

/// What transformers takes where the file does not say.
const WINDOW_DEFAULT: usize = 4096;

/// Gemma 2. Candle has one mask for all layers, so a sliding window bounds the context. What [`gemma::query_factor`] says is put into what
/// makes the queries.
pub(super) struct Gemma2;

impl Family for Gemma2 {
    fn model_type(&self) -> &'static str {
        "gemma2"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let window = keys.number("sliding_window")?.unwrap_or(WINDOW_DEFAULT);
        let sizes = gemma::sizes(keys)?.within(Some(window), keys)?;
        // transformers goes by `hidden_activation`; within the window, layers of both types are the same.
        keys.unread(&["hidden_act", "layer_types", "sliding_window_size"]);
        let factor = gemma::query_factor(keys, &sizes)?;
        let factors = vec![Factor::of("q_proj.weight", factor), Factor::of("q_proj.bias", factor)];
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
            rope_theta: keys.rope_theta(10_000.0)?,
            vocab_size: sizes.vocab,
            final_logit_softcapping: keys.real_or("final_logit_softcapping", 30.0)?,
            attn_logit_softcapping: keys.real_or("attn_logit_softcapping", 50.0)?,
            query_pre_attn_scalar: sizes.head_dim,
            sliding_window: None,
            max_position_embeddings: sizes.positions,
        };
        let build = network(config, |config, weights| Model::new(false, config, weights), Model::forward);
        Ok(Plan { sizes, tied: true, factors, feed: Feed::Any, build })
    }
}
