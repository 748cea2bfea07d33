//! The families, one file each. The next one is a file with its [`Family`] and a line in [`FAMILIES`], a case in
//! `tests/goldens/families_reference.py` and a row in `docs/models.md`; copy from `olmo2.rs`, or from `gemma2.rs` where candle leaves
//! something out that can be mended.

mod gemma;
mod gemma2;
mod gemma3;
mod glm4;
mod granite;
mod helium;
mod mixtral;
mod olmo;
mod olmo2;
mod phi;
mod phi3;
mod qwen3_moe;
mod stablelm;
mod starcoder2;

use std::path::Path;

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use serde_json::{Map, Value};

use crate::{FamilyError, keys::Keys, sizes::Sizes, weights::Factor};

/// Every family, in the order of their names.
static FAMILIES: [&dyn Family; 14] = [
    &gemma::Gemma,
    &gemma2::Gemma2,
    &gemma3::Gemma3,
    &glm4::Glm4,
    &granite::Granite,
    &helium::Helium,
    &mixtral::Mixtral,
    &olmo::Olmo,
    &olmo2::Olmo2,
    &phi::Phi,
    &phi3::Phi3,
    &qwen3_moe::Qwen3Moe,
    &stablelm::StableLm,
    &starcoder2::StarCoder2,
];

/// Takes tokens [1, rows] in at a position, and gives the logits after the last of them. It holds the keys and values of those before.
pub(crate) type Forward = Box<dyn FnMut(&Tensor, usize) -> Result<Tensor> + Send>;
/// Puts a network together that has taken nothing in.
pub(crate) type Build = Box<dyn Fn(VarBuilder<'static>) -> Result<Forward> + Send + Sync>;

/// A family of decoders.
pub(crate) trait Family: Sync {
    /// The `model_type` by which it claims a `config.json`.
    fn model_type(&self) -> &'static str;

    /// Reads the keys: what each means to transformers, or an error that names it.
    ///
    /// # Errors
    /// Where a key is missing, makes no sense, or asks for what candle does not compute.
    fn plan(&self, keys: &Keys<'_>) -> std::result::Result<Plan, FamilyError>;
}

/// What a `config.json` comes to.
pub(crate) struct Plan {
    pub(crate) sizes: Sizes,
    /// The head is the table of embeddings.
    pub(crate) tied: bool,
    pub(crate) factors: Vec<Factor>,
    pub(crate) feed: Feed,
    pub(crate) build: Build,
}

/// How tokens are given to a network.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Feed {
    /// Any number of them.
    Any,
    /// Several at once only where a sequence begins: behind others, candle has no mask for them.
    FirstAlone,
    /// One by one.
    Single,
    /// Several at once within this window; one by one beyond it, where candle's mask is one token wider than transformers'.
    Window(usize),
}

impl Feed {
    /// The most that may be given at once at a position.
    pub(crate) fn rows_max(self, at: usize) -> usize {
        match self {
            Self::Any => usize::MAX,
            Self::FirstAlone if at == 0 => usize::MAX,
            Self::FirstAlone | Self::Single => 1,
            Self::Window(window) => window.saturating_sub(at).max(1),
        }
    }
}

/// The family that claims a configuration.
pub(crate) fn family_of(
    config: &Map<String, Value>,
    path: &Path,
) -> std::result::Result<&'static dyn Family, FamilyError> {
    let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default();
    FAMILIES.into_iter().find(|family| family.model_type() == model_type).ok_or_else(|| FamilyError::Unknown {
        path: path.to_owned(),
        model_type: model_type.to_owned(),
        known: model_types().collect::<Vec<_>>().join(", "),
    })
}

/// Whether a family claims models of this `model_type`.
pub fn claims(model_type: &str) -> bool {
    model_types().any(|known| known == model_type)
}

/// The `model_type` of every family.
pub fn model_types() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.model_type())
}

/// A configuration of candle's whose fields are its own, by the keys of `config.json`: the sizes that all have, and those of its own.
fn config<T: serde::de::DeserializeOwned, const OWN: usize>(
    sizes: &Sizes,
    own: [(&str, Value); OWN],
) -> std::result::Result<T, FamilyError> {
    let sizes = [
        ("vocab_size", sizes.vocab),
        ("hidden_size", sizes.hidden),
        ("intermediate_size", sizes.intermediate),
        ("num_hidden_layers", sizes.layers),
        ("num_attention_heads", sizes.heads),
        ("num_key_value_heads", sizes.kv_heads),
        ("max_position_embeddings", sizes.positions),
    ];
    let sizes = sizes.map(|(key, size)| (key, size.into()));
    let all: Map<String, Value> = sizes.into_iter().chain(own).map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(serde_json::from_value(all.into()).map_err(candle_core::Error::wrap)?)
}

/// Puts a network of candle's together by its configuration, as often as one is wanted.
fn network<C: Send + Sync + 'static, M: Send + 'static>(
    config: C,
    new: fn(&C, VarBuilder<'static>) -> Result<M>,
    forward: fn(&mut M, &Tensor, usize) -> Result<Tensor>,
) -> Build {
    Box::new(move |weights| {
        let mut model = new(&config, weights)?;
        Ok(Box::new(move |tokens, at| forward(&mut model, tokens, at)))
    })
}
