use candle_transformers::models::gemma2::{Config, Model};

use super::{Family, Feed, Forward, Plan};
use crate::{FamilyError, keys::Keys, sizes::HeadDim, weights::Factor};

/// What transformers takes where the file does not say.
const SCALAR_DEFAULT: f64 = 256.0;
const WINDOW_DEFAULT: usize = 4096;

/// Gemma 2. Candle has one mask for all layers, so a sliding window bounds the context. It divides the scores of attention by the root of
/// `head_dim` and not of `query_pre_attn_scalar`; the difference is put into what makes the queries.
pub(super) struct Gemma2;

impl Family for Gemma2 {
    fn model_type(&self) -> &'static str {
        "gemma2"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Own(256))?;
        let window = keys.number("sliding_window")?.unwrap_or(WINDOW_DEFAULT);
        let sizes = sizes.within(Some(window), keys)?;
        keys.only("tie_word_embeddings", true, true)?;
        keys.only("use_bidirectional_attention", false, false)?;
        // transformers goes by `hidden_activation`; within the window, layers of both types are the same.
        keys.unread(&["hidden_act", "layer_types", "sliding_window_size"]);
        let scalar = keys.real("query_pre_attn_scalar")?.unwrap_or(SCALAR_DEFAULT);
        let attention_bias = keys.flag("attention_bias", false)?;
        let factor = (sizes.head_dim as f64 / scalar).sqrt();
        let factors = match factor == 1.0 {
            true => Vec::new(),
            false => vec![Factor::of("q_proj.weight", factor), Factor::of("q_proj.bias", factor)],
        };
        let config = Config {
            attention_bias,
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
        let build = move |weights| {
            let mut model = Model::new(false, &config, weights)?;
            Ok(Box::new(move |tokens: &_, at| model.forward(tokens, at)) as Forward)
        };
        Ok(Plan { sizes, tied: true, factors, feed: Feed::Any, build: Box::new(build) })
    }
}
