use candle_transformers::models::stable_lm::{Config, Model};
use serde_json::json;

use super::{Family, Feed, Plan, network};
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
        let own = [
            ("hidden_act", json!(keys.activation("hidden_act", "silu")?)),
            ("partial_rotary_factor", rope.share.into()),
            ("rope_theta", rope.theta.into()),
            ("layer_norm_eps", keys.needed_real("layer_norm_eps")?.into()),
            ("use_cache", true.into()),
            ("use_qkv_bias", keys.flag("use_qkv_bias", false)?.into()),
        ];
        let config: Config = super::config(&sizes, own)?;
        let build = network(config, Model::new, Model::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
