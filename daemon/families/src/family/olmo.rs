use candle_transformers::models::olmo::{Config, Model};

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, sizes::HeadDim};

/// OLMo.
pub(super) struct Olmo;

impl Family for Olmo {
    fn model_type(&self) -> &'static str {
        "olmo"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        let config = Config {
            vocab_size: sizes.vocab,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            attention_bias: keys.flag("attention_bias", false)?,
            num_hidden_layers: sizes.layers,
            num_attention_heads: sizes.heads,
            num_key_value_heads: sizes.kv_heads,
            hidden_act: keys.activation("hidden_act", "silu")?,
            max_position_embeddings: sizes.positions,
            rope_theta: keys.rope_theta(10_000.0)?,
            tie_word_embeddings: tied,
            clip_qkv: keys.real("clip_qkv")?,
        };
        let build = network(config, Model::new, Model::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
