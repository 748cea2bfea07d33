use candle_transformers::models::starcoder2::{Config, Model};
use serde_json::json;

use super::{Family, Feed, Forward, Plan};
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
        let config = json!({
            "vocab_size": sizes.vocab,
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.intermediate,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "hidden_act": keys.activation("hidden_act", "gelu_pytorch_tanh")?,
            "max_position_embeddings": sizes.positions,
            "norm_epsilon": keys.needed_real("norm_epsilon")?,
            "rope_theta": keys.rope_theta(10_000.0)?,
            "use_bias": keys.flag("use_bias", true)?,
            "sliding_window": null,
        });
        let config: Config = super::config(config)?;
        let build = move |weights| {
            let mut model = Model::new(&config, weights)?;
            Ok(Box::new(move |tokens: &_, at| model.forward(tokens, at)) as Forward)
        };
        Ok(Plan { sizes, tied: true, factors: Vec::new(), feed: Feed::Any, build: Box::new(build) })
    }
}
