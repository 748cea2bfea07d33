use candle_transformers::models::phi3::{Config, Model};

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, rope::Rope, sizes::HeadDim};

/// Phi 3. Candle has no window, so one bounds the context; its `longrope` is not that of transformers, and refused.
pub(super) struct Phi3;

impl Family for Phi3 {
    fn model_type(&self) -> &'static str {
        "phi3"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?.within(keys.number("sliding_window")?, keys)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        // Without scaling, it is never read.
        keys.unread(&["original_max_position_embeddings"]);
        keys.only("attention_bias", false, false)?;
        let rope = keys.rope(Rope { theta: 10_000.0, share: 1.0 })?;
        sizes.check_rotated(rope.share, keys)?;
        let config = Config {
            vocab_size: sizes.vocab,
            hidden_act: keys.activation("hidden_act", "silu")?,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            num_hidden_layers: sizes.layers,
            num_attention_heads: sizes.heads,
            num_key_value_heads: sizes.kv_heads,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            rope_theta: rope.theta,
            bos_token_id: None,
            eos_token_id: None,
            rope_scaling: None,
            max_position_embeddings: sizes.positions,
            original_max_position_embeddings: None,
            partial_rotary_factor: (rope.share != 1.0).then_some(rope.share),
            tie_word_embeddings: tied,
        };
        let build = network(config, Model::new, Model::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
