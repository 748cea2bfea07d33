use candle_transformers::models::stable_lm::{Config, Model};
use serde_json::json;

use super::{Family, Feed, Forward, Plan};
use crate::{FamilyError, keys::Keys, rope::Rope, sizes::HeadDim};

/// StableLM.
pub(super) struct StableLm;

impl Family for StableLm {
    fn model_type(&self) -> &'static str {
        "stablelm"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        keys.only("qk_layernorm", false, false)?;
        keys.only("use_parallel_residual", false, false)?;
        let rope = keys.rope(Rope { theta: 10_000.0, share: 0.25 })?;
        sizes.check_rotated(rope.share, keys)?;
        let config = json!({
            "vocab_size": sizes.vocab,
            "intermediate_size": sizes.intermediate,
            "hidden_size": sizes.hidden,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "hidden_act": keys.activation("hidden_act", "silu")?,
            "partial_rotary_factor": rope.share,
            "rope_theta": rope.theta,
            "max_position_embeddings": sizes.positions,
            "layer_norm_eps": keys.needed_real("layer_norm_eps")?,
            "use_cache": true,
            "use_qkv_bias": keys.flag("use_qkv_bias", false)?,
        });
        let config: Config = super::config(config)?;
        let build = move |weights| {
            let mut model = Model::new(&config, weights)?;
            Ok(Box::new(move |tokens: &_, at| model.forward(tokens, at)) as Forward)
        };
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build: Box::new(build) })
    }
}
