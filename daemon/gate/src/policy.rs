use serde::{Deserialize, Serialize};

use crate::HackingPolicy;

/// What the gate asks of a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The confidence of each one-sided bound, above 0.5 and below 1. At 0.95 a candidate whose true loss on a protected
    /// suite equals the margin passes that suite at most 5 times in 100; a larger loss, less often. Suites with fewer items than
    /// [`items_needed`](crate::items_needed) promise nothing, and refuse for plain harm alone.
    pub confidence: f64,
    /// Bootstrap resamples per bound.
    pub resamples: usize,
    /// The seed of the resampling.
    pub seed: u64,
    /// What target suites must show.
    pub require: Require,
    /// What becomes of a protected suite that can show neither a loss nor the absence of one.
    pub uncertain: Uncertain,
    /// The share of a suite's items that may go unjudged, from 0 to 1; beyond it the suite is void, and says nothing.
    pub unjudged_ratio_max: f64,
    /// When learning from rewards is suspect, and what follows.
    pub hacking: HackingPolicy,
}

/// What target suites must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// At least one target suite improved: the lower bound of its difference is above 0. With many target suites, chance
    /// finds an improvement more easily; it lets through only what the protected suites vouch for.
    Improved,
    /// No target suite fell: each is treated as a protected suite.
    NotWorse,
}

/// What becomes of a protected suite whose mean loss is within the margin but whose lower bound is not, because it has too
/// few items or differs too much from item to item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertain {
    /// The candidate is rejected: what is not shown to be safe is not safe.
    Reject,
    /// The suite passes, and the report says so. For deployments whose suites are still small.
    Allow,
}

/// The default of [`Policy::unjudged_ratio_max`]: what is left of a suite should still be most of it.
pub const UNJUDGED_RATIO_MAX_DEFAULT: f64 = 0.5;

/// The fewest resamples that leave the 5 % quantile meaningful.
const RESAMPLES_MIN: usize = 100;

/// A policy that cannot be followed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Not a confidence.
    #[error("gate.confidence must be above 0.5 and below 1, not {0}")]
    Confidence(f64),
    /// Too few resamples.
    #[error("gate.resamples must be at least {RESAMPLES_MIN}, not {0}")]
    Resamples(usize),
    /// Not a share.
    #[error("gate.unjudged_ratio_max must be from 0 to 1, not {0}")]
    UnjudgedRatio(f64),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            confidence: 0.95,
            resamples: 10_000,
            seed: 0,
            require: Require::Improved,
            uncertain: Uncertain::Reject,
            unjudged_ratio_max: UNJUDGED_RATIO_MAX_DEFAULT,
            hacking: HackingPolicy::default(),
        }
    }
}

impl Policy {
    /// Whether the policy can be followed.
    ///
    /// # Errors
    /// Where a number is out of its range.
    pub fn check(&self) -> Result<(), PolicyError> {
        if !(self.confidence > 0.5 && self.confidence < 1.0) {
            return Err(PolicyError::Confidence(self.confidence));
        }
        if self.resamples < RESAMPLES_MIN {
            return Err(PolicyError::Resamples(self.resamples));
        }
        if !(0.0..=1.0).contains(&self.unjudged_ratio_max) {
            return Err(PolicyError::UnjudgedRatio(self.unjudged_ratio_max));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(Policy::default().check(), Ok(()));
        for confidence in [0.5, 1.0, f64::NAN, -1.0] {
            assert!(Policy { confidence, ..Policy::default() }.check().is_err(), "{confidence}");
        }
        assert_eq!(Policy { resamples: 99, ..Policy::default() }.check(), Err(PolicyError::Resamples(99)));
        assert!(Policy { unjudged_ratio_max: f64::NAN, ..Policy::default() }.check().is_err());
    }
}
