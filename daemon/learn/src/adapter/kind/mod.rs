//! Kinds of adapters. Each is a file with its [`DeltaKind`] and a line in [`Kind::ALL`]; nothing else knows what a kind computes,
//! which tensors it has or how PEFT writes it. Copy from `lora.rs`.

mod config;
mod dora;
mod lora;

use std::fmt;

use candle_core::Tensor;
pub use config::{LoraConfig, ShapeDifference};
use perennial_kernels::{Precision, Weight};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{AdapterError, SiteBase};
use crate::model::{composed::ComposedDelta, delta::Delta};

/// What an adapter is, in one linear layer: its tensors, and how they change what the layer gives.
pub(crate) trait DeltaKind: Send + Sync {
    /// The name in configurations and fingerprints. It stands for what the tensors mean as well: where that changes, so does the
    /// name.
    fn name(&self) -> &'static str;

    /// PEFT's `peft_type`.
    fn peft_type(&self) -> &'static str;

    /// What asks for this kind where it is true, in PEFT's configuration and in `[train]`; `None` for the one that nothing asks
    /// for.
    fn flag(&self) -> Option<&'static str>;

    /// The tensors of a layer, as PEFT's file names them after the path of the layer.
    fn parts(&self) -> &'static [&'static str];

    /// Their shapes.
    fn shapes(&self, config: &LoraConfig, inputs: usize, outputs: usize) -> Vec<Vec<usize>>;

    /// The inputs and outputs of the layer that tensors of such shapes are for; `None` where they are for none.
    fn widths(&self, shapes: &[&[usize]]) -> Option<(usize, usize)>;

    /// Their values before training, by which nothing is changed yet.
    ///
    /// # Errors
    /// Where the kind needs the base model's weights, and they are not there.
    fn init(
        &self,
        config: &LoraConfig,
        base: SiteBase<'_>,
        random: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<f32>>, AdapterError>;

    /// Whether such values leave the layer as it is.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    fn has_no_effect(&self, base: SiteBase<'_>, values: &[Vec<f32>]) -> Result<bool, AdapterError>;

    /// For the passes by hand, given the weight of the layer.
    fn weights(
        &self,
        config: &LoraConfig,
        weight: &Weight,
        values: Vec<Vec<f32>>,
        precision: Precision,
    ) -> Box<dyn Delta>;

    /// For the composed passes, given the weight of the layer, `[out, in]`, on the device.
    ///
    /// # Errors
    /// Where the device has no room.
    fn composed(
        &self,
        config: &LoraConfig,
        weight: &Tensor,
        values: &[&[f32]],
    ) -> candle_core::Result<Box<dyn ComposedDelta>>;

    /// Changes a weight, `[out, in]`, so that the layer alone gives what it gives with the adapter, as PEFT's `merge` does.
    fn merge(&self, config: &LoraConfig, weight: &mut [f32], values: &[Vec<f32>]);

    /// The servers that do not load such adapters from PEFT's files.
    fn not_served_by(&self) -> &'static [&'static str];
}

/// The kind of an adapter.
#[derive(Clone, Copy)]
pub struct Kind(&'static dyn DeltaKind);

impl Kind {
    /// Plain LoRA (arXiv 2106.09685).
    pub const LORA: Self = Self(&lora::Lora);

    /// DoRA (arXiv 2402.09353): LoRA on the direction of each row of a weight, and a magnitude of its own.
    pub const DORA: Self = Self(&dora::Dora);

    /// The first is the one that is meant where nothing is said.
    pub const ALL: [Self; 2] = [Self::LORA, Self::DORA];

    /// The name in configurations.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The servers that do not load adapters of this kind from PEFT's files.
    pub fn not_served_by(self) -> &'static [&'static str] {
        self.0.not_served_by()
    }

    pub(crate) fn delta(self) -> &'static dyn DeltaKind {
        self.0
    }

    /// Whether it is the one that is meant where nothing is said.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The names of all kinds, for messages.
    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl Default for Kind {
    fn default() -> Self {
        Self::LORA
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Kind {}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| {
            de::Error::custom(format!("no kind of adapter is called {name}: there are {}", Self::names()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_kinds_have_one_name_or_ask_for_the_same() {
        let names: BTreeSet<&str> = Kind::ALL.map(Kind::name).into();
        let asked: BTreeSet<_> = Kind::ALL.map(|kind| (kind.0.peft_type(), kind.0.flag())).into();
        assert_eq!([names.len(), asked.len()], [Kind::ALL.len(); 2]);
    }

    #[test]
    fn shapes_tell_the_widths_they_were_made_for() {
        let config = LoraConfig { r: 3, ..LoraConfig::default() };
        for kind in Kind::ALL {
            let shapes = kind.0.shapes(&config, 5, 7);
            let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
            assert_eq!(shapes.len(), kind.0.parts().len());
            assert_eq!(kind.0.widths(&shapes), Some((5, 7)), "{kind:?}");
            assert_eq!(kind.0.widths(&shapes[1..]), None, "{kind:?}");
        }
    }

    #[test]
    fn kinds_are_read_by_name() {
        for kind in Kind::ALL {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(serde_json::from_str::<Kind>(&text).unwrap(), kind);
        }
        let error = serde_json::from_str::<Kind>("\"lokr\"").unwrap_err().to_string();
        assert!(error.contains("lokr") && error.contains("lora"), "{error}");
    }
}
