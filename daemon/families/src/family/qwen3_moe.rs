use candle_transformers::models::qwen3_moe::{Config, ModelForCausalLM};
use serde_json::Value;

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, sizes::HeadDim};

/// Qwen 3 with experts.
pub(super) struct Qwen3Moe;

impl Family for Qwen3Moe {
    fn model_type(&self) -> &'static str {
        "qwen3_moe"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::OwnOrDerived)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        keys.only("use_sliding_window", false, false)?;
        // Without windows, neither is read.
        keys.unread(&["sliding_window", "max_window_layers"]);
        if keys.value("mlp_only_layers").is_some_and(|layers| layers.as_array().is_none_or(|list| !list.is_empty())) {
            return Err(keys.problem("mlp_only_layers", "names layers, which candle does not tell apart"));
        }
        let step = keys.number("decoder_sparse_step")?.unwrap_or(1);
        if step == 0 {
            return Err(keys.problem("decoder_sparse_step", "is 0"));
        }
        let experts = match keys.value("num_experts") {
            Some(Value::Number(_)) => keys.experts("num_experts")?,
            _ => keys.experts("num_local_experts")?,
        };
        keys.unread(&["num_local_experts"]);
        let per_token = keys.experts_per_token(experts)?;
        let config = Config {
            vocab_size: sizes.vocab,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            num_hidden_layers: sizes.layers,
            num_attention_heads: sizes.heads,
            head_dim: sizes.head_dim,
            attention_bias: keys.flag("attention_bias", false)?,
            num_key_value_heads: sizes.kv_heads,
            max_position_embeddings: sizes.positions,
            sliding_window: None,
            max_window_layers: 0,
            tie_word_embeddings: tied,
            rope_theta: keys.rope_theta(10_000.0)?,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            use_sliding_window: false,
            hidden_act: keys.activation("hidden_act", "silu")?,
            decoder_sparse_step: step,
            moe_intermediate_size: keys.needed("moe_intermediate_size")?,
            num_experts_per_tok: per_token,
            num_experts: experts,
            norm_topk_prob: keys.flag("norm_topk_prob", false)?,
        };
        let build = network(config, ModelForCausalLM::new, ModelForCausalLM::forward);
        Ok(Plan { sizes, tied, factors: Vec::new(), feed: Feed::Any, build })
    }
}
