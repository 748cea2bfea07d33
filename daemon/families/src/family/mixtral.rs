use candle_transformers::models::mixtral::{Config, Model};
use serde_json::json;

use super::{Family, Feed, Plan, network};
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
        let per_token = keys.experts_per_token(experts)?;
        let own = [
            ("hidden_act", json!(keys.activation("hidden_act", "silu")?)),
            ("rms_norm_eps", keys.needed_real("rms_norm_eps")?.into()),
            ("rope_theta", keys.rope_theta(1_000_000.0)?.into()),
            ("sliding_window", sizes.positions.into()),
            ("num_experts_per_tok", per_token.into()),
            ("num_local_experts", experts.into()),
            ("use_flash_attn", false.into()),
        ];
        let config: Config = super::config(&sizes, own)?;
        let build = network(config, Model::new, Model::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
