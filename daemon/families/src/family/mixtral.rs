use candle_transformers::models::mixtral::{Config, Model};
use serde_json::json;

use super::{Family, Feed, Forward, Plan};
use crate::{FamilyError, keys::Keys, sizes::HeadDim};

/// Mixtral. A sliding window bounds the context, since candle's is one token wider than transformers'.
pub(super) struct Mixtral;

impl Family for Mixtral {
    fn model_type(&self) -> &'static str {
        "mixtral"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?.within(keys.number("sliding_window")?, keys)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        let experts = keys.experts("num_local_experts")?;
        let per_token = keys.experts("num_experts_per_tok")?;
        if per_token > experts {
            return Err(keys.problem("num_experts_per_tok", "is more than there are"));
        }
        let config = json!({
            "vocab_size": sizes.vocab,
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.intermediate,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "hidden_act": keys.activation("hidden_act", "silu")?,
            "max_position_embeddings": sizes.positions,
            "rms_norm_eps": keys.needed_real("rms_norm_eps")?,
            "rope_theta": keys.rope_theta(1_000_000.0)?,
            "sliding_window": sizes.positions,
            "num_experts_per_tok": per_token,
            "num_local_experts": experts,
            "use_flash_attn": false,
        });
        let config: Config = super::config(config)?;
        let build = move |weights| {
            let mut model = Model::new(&config, weights)?;
            Ok(Box::new(move |tokens: &_, at| model.forward(tokens, at)) as Forward)
        };
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build: Box::new(build) })
    }
}
