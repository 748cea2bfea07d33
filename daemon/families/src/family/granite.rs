use candle_core::{DType, Device};
use candle_transformers::models::granite::{Cache, Config, Granite as Model};

use super::{Family, Feed, Plan, network};
use crate::{FamilyError, keys::Keys, sizes::HeadDim, weights::Factor};

/// Granite. Candle has none of its four multipliers; each is put into the weights that it multiplies.
pub(super) struct Granite;

impl Family for Granite {
    fn model_type(&self) -> &'static str {
        "granite"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Derived)?;
        let tied = keys.flag("tie_word_embeddings", false)?;
        keys.only("attention_bias", false, false)?;
        keys.only("mlp_bias", false, false)?;
        let act = "hidden_act";
        if keys.activation(act, "silu")? != candle_nn::Activation::Silu {
            return Err(keys.problem(act, "is not `silu`, the one that candle computes"));
        }
        let multiplier = |key| Ok::<f64, FamilyError>(keys.real(key)?.unwrap_or(1.0));
        let residual = multiplier("residual_multiplier")?;
        let scores = multiplier("attention_multiplier")? * (sizes.head_dim as f64).sqrt();
        let factors = vec![
            Factor::of("embed_tokens.weight", multiplier("embedding_multiplier")?),
            Factor::of("q_proj.weight", scores),
            Factor::of("o_proj.weight", residual),
            Factor::of("down_proj.weight", residual),
            Factor::of("lm_head.weight", 1.0 / multiplier("logits_scaling")?),
        ];
        let config = Config {
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            vocab_size: sizes.vocab,
            num_hidden_layers: sizes.layers,
            num_attention_heads: sizes.heads,
            num_key_value_heads: sizes.kv_heads,
            use_flash_attn: false,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            rope_theta: keys.rope_theta(10_000.0)? as f32,
            bos_token_id: None,
            eos_token_id: None,
            rope_scaling: None,
            max_position_embeddings: sizes.positions,
        };
        let build = network(
            config,
            |config, weights| Ok((Model::load(weights, config)?, Cache::new(true, DType::F32, config, &Device::Cpu)?)),
            |(model, cache), tokens, at| model.forward(tokens, at, cache),
        );
        Ok(Plan { sizes, tied, factors, feed: Feed::Any, build })
    }
}
