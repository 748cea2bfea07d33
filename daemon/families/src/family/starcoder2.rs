use candle_transformers::models::starcoder2::{Config, Model};
use serde_json::{Value, json};

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, sizes::HeadDim};

/// StarCoder 2. A sliding window bounds the context, since candle forgets it behind the first tokens.
pub(super) struct StarCoder2;

impl Family for StarCoder2 {
    fn model_type(&self) -> &'static str {
        "starcoder2"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?.within(keys.number("sliding_window")?, keys)?;
        keys.only("tie_word_embeddings", true, true)?;
        // transformers' class has one form of each, and reads none.
        keys.unread(&["norm_type", "mlp_type", "layer_norm_epsilon"]);
        keys.unread(&["attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "scale_attn_weights"]);
        let own = [
            ("hidden_act", json!(keys.activation("hidden_act", "gelu_pytorch_tanh")?)),
            ("norm_epsilon", keys.needed_real("norm_epsilon")?.into()),
            ("rope_theta", keys.rope_theta(10_000.0)?.into()),
            ("use_bias", keys.flag("use_bias", true)?.into()),
            ("sliding_window", Value::Null),
        ];
        let config: Config = super::config(&sizes, own)?;
        let build = network(config, Model::new, Model::forward);
        Ok(Plan { sizes, tied: true, factors: Vec::new(), feed: Feed::Any, build })
    }
}
