use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Projection;

/// The shape of a LoRA adapter.
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
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { r: 16, alpha: 32.0, use_rslora: false, target_modules: Projection::ALL.into() }
    }
}

impl LoraConfig {
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
}
