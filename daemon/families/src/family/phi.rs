use candle_transformers::models::phi::{Config, Model};
use serde_json::json;

use super::{Family, Feed, Plan, network};
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
        let own = [
            ("hidden_act", json!(keys.activation("hidden_act", "gelu_new")?)),
            ("layer_norm_eps", keys.needed_real("layer_norm_eps")?.into()),
            ("tie_word_embeddings", false.into()),
            ("rope_theta", rope.theta.into()),
            ("partial_rotary_factor", rope.share.into()),
            ("qk_layernorm", false.into()),
        ];
        let config: Config = super::config(&sizes, own)?;
        // The position is that of its cache.
        let build = network(config, Model::new, |model, tokens, _| model.forward(tokens));
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::FirstAlone, build })
    }
}
