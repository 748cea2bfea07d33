use serde::{Deserialize, Serialize};

use super::{DistillationConfig, EwcConfig, L2SpConfig, OrthogonalConfig};

/// The keys of all penalties. All are off by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PenaltyConfig {
    /// The distance from the champion.
    pub l2_sp: L2SpConfig,
    /// The distance from the champion, each number as much as it matters.
    pub ewc: EwcConfig,
    /// What new directions share with those of the champion, which is frozen.
    pub orthogonal: OrthogonalConfig,
    /// The divergence from what the champion or the base model says.
    pub distillation: DistillationConfig,
}

impl PenaltyConfig {
    /// Whether all of them are off.
    pub fn is_off(&self) -> bool {
        !self.holds_to_parameters() && self.orthogonal.weight == 0.0 && self.distillation.is_off()
    }

    /// Whether one is on that looks at the champion's parameters.
    pub(in crate::train) fn holds_to_parameters(&self) -> bool {
        self.l2_sp.weight > 0.0 || self.ewc.weight > 0.0
    }

    /// Each value that makes no sense: the key, whether it does, and what it must be.
    pub(in crate::train) fn checks(&self) -> [(&'static str, bool, &'static str); 7] {
        let Self { l2_sp, ewc, orthogonal, distillation } = self;
        let weight = |value: f64| value.is_finite() && value >= 0.0;
        [
            ("penalty.l2_sp.weight", weight(l2_sp.weight), "is at least 0"),
            ("penalty.ewc.weight", weight(ewc.weight), "is at least 0"),
            ("penalty.ewc.decay", (0.0..=1.0).contains(&ewc.decay), "is from 0 to 1"),
            ("penalty.ewc.batches_max", ewc.batches_max > 0, "is at least 1"),
            ("penalty.orthogonal.weight", weight(orthogonal.weight), "is at least 0"),
            ("penalty.distillation.champion", weight(distillation.champion), "is at least 0"),
            ("penalty.distillation.base", weight(distillation.base), "is at least 0"),
        ]
    }
}
