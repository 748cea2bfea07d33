use candle_nn::Activation;
use candle_transformers::models::gemma::{Config, Model};

use super::{Family, Feed, Forward, Plan};
use crate::{FamilyError, keys::Keys, sizes::HeadDim};

/// Gemma.
pub(super) struct Gemma;

impl Family for Gemma {
    fn model_type(&self) -> &'static str {
        "gemma"
    }

    fn plan(&self, keys: &Keys<'_>) -> Result<Plan, FamilyError> {
        let sizes = keys.sizes(HeadDim::Own(256))?;
        keys.only("tie_word_embeddings", true, true)?;
        keys.only("use_bidirectional_attention", false, false)?;
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
        let build = move |weights| {
            let mut model = Model::new(false, &config, weights)?;
            Ok(Box::new(move |tokens: &_, at| model.forward(tokens, at)) as Forward)
        };
        Ok(Plan { sizes, tied: true, factors: Vec::new(), feed: Feed::Any, build: Box::new(build) })
    }
}
