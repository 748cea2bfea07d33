use candle_nn::Activation;
use candle_transformers::models::gemma::{Config, Model};

use super::{Family, Feed, Plan, network};
use crate::{
    FamilyError,
    keys::Keys,
    sizes::{HeadDim, Sizes},
};

/// Gemma.
pub(super) struct Gemma;

impl Family for Gemma {
    fn model_type(&self) -> &'static str {
        "gemma"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = sizes(keys)?;
        // transformers goes by `hidden_act`, and takes the first files' `gelu` for its approximation.
        keys.unread(&["hidden_activation"]);
        let hidden_act = match keys.activation("hidden_act", "gelu_pytorch_tanh")? {
            Activation::Gelu => Activation::GeluPytorchTanh,
            other => other,
        };
        let config = Config {
            attention_bias: keys.flag("attention_bias", false)?,
            head_dim: sizes.head_dim,
            hidden_act: Some(hidden_act),
            hidden_activation: None,
            hidden_size: sizes.hidden,
            intermediate_size: sizes.intermediate,
            num_attention_heads: sizes.heads,
            num_hidden_layers: sizes.layers,
            num_key_value_heads: sizes.kv_heads,
            rms_norm_eps: keys.needed_real("rms_norm_eps")?,
            rope_theta: keys.rope_theta(10_000.0)?,
            vocab_size: sizes.vocab,
            max_position_embeddings: sizes.positions,
        };
        let build = network(config, |config, weights| Model::new(false, config, weights), Model::forward);
        Ok(Plan { sizes, tied: true, factors: Vec::new(), feed: Feed::Any, build })
    }
}

/// The sizes of any Gemma, each of which is tied and looks back alone.
pub(super) fn sizes(keys: &Keys<'_>) -> Result<Sizes, FamilyError> {
    keys.only("tie_word_embeddings", true, true)?;
    keys.only("use_bidirectional_attention", false, false)?;
    keys.sizes(HeadDim::Own(256))
}

/// What the queries of Gemma 2 and 3 are multiplied by: candle divides the scores of attention by the root of `head_dim` and not of
/// `query_pre_attn_scalar`.
pub(super) fn query_factor(keys: &Keys<'_>, sizes: &Sizes) -> Result<f64, FamilyError> {
    /// What transformers takes where the file does not say.
    const SCALAR_DEFAULT: f64 = 256.0;
    let scalar = keys.real("query_pre_attn_scalar")?.unwrap_or(SCALAR_DEFAULT);
    Ok((sizes.head_dim as f64 / scalar).sqrt())
}
