use candle_transformers::models::glm4_new::{Config, ModelForCausalLM};

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, rope::Rope, sizes::HeadDim};

/// GLM-4 (0414).
pub(super) struct Glm4;

impl Family for Glm4 {
    fn model_type(&self) -> &'static str {
        "glm4"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Own(128))?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        let rope = keys.rope(Rope { theta: 10_000.0, share: 0.5 })?;
        sizes.check_rotated(rope.share, keys)?;
        let config = Config {
            vocab_size: sizes.vocab,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            num_hidden_layers: sizes.layers,
            num_attention_heads: sizes.heads,
            head_dim: Some(sizes.head_dim),
            partial_rotary_factor: Some(rope.share as f32),
            attention_bias: Some(keys.flag("attention_bias", true)?),
            num_key_value_heads: sizes.kv_heads,
            max_position_embeddings: sizes.positions,
            sliding_window: None,
            tie_word_embeddings: tied,
            rope_theta: rope.theta,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            hidden_act: keys.activation("hidden_act", "silu")?,
            eos_token_id: None,
        };
        let build = network(config, ModelForCausalLM::new, ModelForCausalLM::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
