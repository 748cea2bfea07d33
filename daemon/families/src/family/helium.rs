use candle_transformers::models::helium::{Config, Model};

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, sizes::HeadDim};

/// Helium.
pub(super) struct Helium;

impl Family for Helium {
    fn model_type(&self) -> &'static str {
        "helium"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Own(128))?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        // Candle would have a bias behind attention too.
        keys.only("attention_bias", false, false)?;
        let config = Config {
            attention_bias: false,
            bos_token_id: 0,
            eos_token_id: 0,
            head_dim: sizes.head_dim,
            hidden_act: keys.activation("hidden_act", "silu")?,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            max_position_embeddings: sizes.positions,
            mlp_bias: keys.flag("mlp_bias", false)?,
            num_attention_heads: sizes.heads,
            num_hidden_layers: sizes.layers,
            num_key_value_heads: sizes.kv_heads,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            rope_theta: keys.rope_theta(100_000.0)?,
            tie_word_embeddings: tied,
            vocab_size: sizes.vocab,
            use_flash_attn: false,
        };
        let build = network(config, Model::new, Model::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
