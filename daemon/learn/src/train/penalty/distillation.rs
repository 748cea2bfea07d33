use serde::{Deserialize, Serialize};

/// The keys of distillation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// The weight of the divergence from the champion on replayed samples. Default 0: off.
    pub champion: f64,
    /// The weight of the divergence from the base model on its own answers. Default 0: off.
    pub base: f64,
}

impl DistillationConfig {
    pub(in crate::train) fn is_off(&self) -> bool {
        self.champion == 0.0 && self.base == 0.0
    }

    /// The weight of a teacher.
    pub(in crate::train) fn weight(&self, teacher: HeldTo) -> f64 {
        match teacher {
            HeldTo::Champion => self.champion,
            HeldTo::Base => self.base,
        }
    }
}

/// The teacher of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldTo {
    /// The champion.
    Champion,
    /// The base model, without an adapter.
    Base,
}

impl HeldTo {
    pub(in crate::train) const ALL: [Self; 2] = [Self::Champion, Self::Base];

    /// What metrics.jsonl calls the mean divergence from it, in nats per target.
    pub(in crate::train) fn figure(self) -> &'static str {
        match self {
            Self::Champion => CHAMPION_FIGURE,
            Self::Base => BASE_FIGURE,
        }
    }
}

pub(in crate::train) const FIGURE: &str = "penalty/distillation";
pub(in crate::train) const CHAMPION_FIGURE: &str = "kl/champion";
pub(in crate::train) const BASE_FIGURE: &str = "kl/base";
