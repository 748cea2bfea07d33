use candle_transformers::models::phi::{Config, Model};
use serde_json::json;

use super::{Family, Feed, Forward, Plan};
use crate::{FamilyError, keys::Keys, rope::Rope, sizes::HeadDim};

/// Phi 1, 1.5 and 2.
pub(super) struct Phi;

impl Family for Phi {
    fn model_type(&self) -> &'static str {
        "phi"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        // Candle normalises before the heads are apart.
        keys.only("qk_layernorm", false, false)?;
        let rope = keys.rope(Rope { theta: 10_000.0, share: 0.5 })?;
        sizes.check_rotated(rope.share, keys)?;
        let config = json!({
            "vocab_size": sizes.vocab,
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.intermediate,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "hidden_act": keys.activation("hidden_act", "gelu_new")?,
            "max_position_embeddings": sizes.positions,
            "layer_norm_eps": keys.needed_real("layer_norm_eps")?,
            "tie_word_embeddings": false,
            "rope_theta": rope.theta,
            "partial_rotary_factor": rope.share,
            "qk_layernorm": false,
        });
        let config: Config = super::config(config)?;
        let build = move |weights| {
            let mut model = Model::new(&config, weights)?;
            // The position is that of its cache.
            Ok(Box::new(move |tokens: &_, _| model.forward(tokens)) as Forward)
        };
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::FirstAlone, build: Box::new(build) })
    }
}
