use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::adapter::{AdapterError, Projection};

/// The shape of an adapter: of LoRA, or of a kind that has its matrices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoraConfig {
    /// Rank of the matrices. Default 16; more learns more at more memory. At least 1.
    pub r: usize,
    /// The product of the matrices is scaled by `alpha / r`. Default 32: twice the rank.
    pub alpha: f64,
    /// Scale by `alpha / √r` instead (rsLoRA, arXiv 2312.03732), so that high ranks learn as fast as low ones.
    pub use_rslora: bool,
    /// The linear layers that carry an adapter. Default all.
    pub target_modules: BTreeSet<Projection>,
    /// What it is. Default plain LoRA.
    #[serde(skip_serializing_if = "Kind::is_default")]
    pub kind: Kind,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { r: 16, alpha: 32.0, use_rslora: false, target_modules: Projection::ALL.into(), kind: Kind::default() }
    }
}

/// A setting in which two shapes of adapters differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeDifference {
    /// The setting, as [`LoraConfig`] names it.
    pub key: &'static str,
    /// Its value in the adapter that is there.
    pub adapter: String,
    /// Its value in the configuration.
    pub config: String,
}

impl fmt::Display for ShapeDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} in the adapter and {} in the configuration", self.key, self.adapter, self.config)
    }
}

impl LoraConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`AdapterError::Invalid`], where the rank or the number of targets is 0, or alpha is not positive.
    pub fn check(&self) -> Result<(), AdapterError> {
        if self.r == 0 || self.target_modules.is_empty() {
            return Err(AdapterError::Invalid("the rank is at least 1 and there is at least one target module".into()));
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(AdapterError::Invalid(format!("alpha is a positive number, not {}", self.alpha)));
        }
        Ok(())
    }

    /// Where an adapter of this shape differs from what a configuration asks for. An adapter is trained on in its own shape
    /// alone.
    pub fn differences(&self, config: &Self) -> Vec<ShapeDifference> {
        let modules =
            |shape: &Self| shape.target_modules.iter().map(|module| module.as_str()).collect::<Vec<_>>().join("+");
        let settings = [
            ("r", self.r.to_string(), config.r.to_string()),
            ("alpha", self.alpha.to_string(), config.alpha.to_string()),
            ("use_rslora", self.use_rslora.to_string(), config.use_rslora.to_string()),
            ("target_modules", modules(self), modules(config)),
        ];
        let flags = Kind::ALL.into_iter().filter_map(|kind| kind.delta().flag());
        let asks = |shape: &Self, flag| (shape.kind.delta().flag() == Some(flag)).to_string();
        let kinds = flags.map(|flag| (flag, asks(self, flag), asks(config, flag)));
        let differs = kinds.chain(settings).filter(|(_, adapter, config)| adapter != config);
        differs.map(|(key, adapter, config)| ShapeDifference { key, adapter, config }).collect()
    }

    /// What the product of the matrices is multiplied by.
    pub fn scale(&self) -> f32 {
        let r = self.r as f64;
        (self.alpha / if self.use_rslora { r.sqrt() } else { r }) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_as_peft_does() {
        let config = LoraConfig::default();
        assert_eq!(config.scale(), 2.0);
        assert_eq!(LoraConfig { use_rslora: true, ..config }.scale(), 8.0);
    }

    #[test]
    fn differences_name_each_setting() {
        let config = LoraConfig::default();
        assert!(config.differences(&config).is_empty());
        let other = LoraConfig { r: 8, target_modules: [Projection::QProj].into(), ..config.clone() };
        let found: Vec<String> = config.differences(&other).iter().map(ToString::to_string).collect();
        assert_eq!(found[0], "r is 16 in the adapter and 8 in the configuration");
        assert!(found[1].starts_with("target_modules is ") && found.len() == 2, "{found:?}");
    }
}
