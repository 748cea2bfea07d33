use candle_transformers::models::olmo2::{Config, Model};

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, sizes::HeadDim};

/// OLMo 2.
pub(super) struct Olmo2;

impl Family for Olmo2 {
    fn model_type(&self) -> &'static str {
        "olmo2"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        // OLMo's alone; transformers does not read it here, and neither does candle.
        keys.none("clip_qkv")?;
        let config = Config {
            vocab_size: sizes.vocab,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            attention_bias: keys.flag("attention_bias", false)?,
            num_hidden_layers: sizes.layers,
            num_attention_heads: sizes.heads,
            num_key_value_heads: sizes.kv_heads,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            hidden_act: keys.activation("hidden_act", "silu")?,
            max_position_embeddings: sizes.positions,
            rope_theta: keys.rope_theta(10_000.0)?,
            tie_word_embeddings: tied,
            clip_qkv: None,
        };
        let build = network(config, Model::new, Model::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
