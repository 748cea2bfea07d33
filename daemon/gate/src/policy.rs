use serde::{Deserialize, Serialize};

/// What the gate asks of a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The confidence of each one-sided bound, above 0.5 and below 1. At 0.995 a protected suite of enough items lets a
    /// candidate whose true loss equals the margin pass 5 times in 1000; of a larger loss, less often.
    pub confidence: f64,
    /// The chance that a candidate that lost nothing is refused, over all suites together and whatever their size, above 0 and
    /// at most 0.5.
    pub false_alarm_max: f64,
    /// The chance that a candidate without a gain is taken for an improved one, over all targets together, likewise.
    pub chance_gain_max: f64,
    /// The share of the champion's score that a suite tolerates to be lost, where that is less than its margin; 0 leaves
    /// margins as they are.
    pub margin_relative: f64,
    /// The loss against the anchor that is tolerated in all, in the units of the score.
    pub anchor_margin: f64,
    /// How often the same rows were tried before: each try is one more chance to pass, so each halves what may pass by chance
    /// and doubles what may be refused by chance.
    pub earlier_tries: u32,
    /// Whether protected suites were asked in batches until a sequential test knew enough
    /// ([`Sequential`](crate::Sequential)): it spends half of what may pass and a fifth of what may be refused by chance.
    pub sequential: bool,
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
    /// The share of a suite's items on which one side alone may go unjudged, from 0 to 1; beyond it the suite is void: what
    /// cannot be judged any more is no less lost.
    pub max_fault_ratio: f64,
    /// When learning from rewards is suspect, and what follows.
    pub hacking: HackingPolicy,
}

/// What target suites must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Require {
    /// At least one target suite is shown to have improved ([`Policy::chance_gain_max`]).
    Improved,
    /// No target suite fell: each is treated as a protected suite.
    NotWorse,
}

/// What becomes of a protected suite that shows neither a loss nor the absence of one beyond its margin, because it has too
/// few items or differs too much from item to item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Uncertain {
    /// The candidate is rejected, where the suite has the items to stand alone; those that have not are asked together.
    Reject,
    /// The suite passes, and the report says what it could have seen.
    Allow,
}

/// What becomes of a candidate under suspicion of reward hacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HackingAction {
    /// The report names the suspicion.
    Warn,
    /// The candidate is rejected for it.
    Reject,
}

/// When a candidate that learned from rewards is under suspicion of having learned to please the reward alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HackingPolicy {
    /// What follows from the suspicion.
    pub action: HackingAction,
    /// How far the policy may move from its reference, in nats per token.
    pub kl_max: f64,
    /// How much longer or shorter completions may become, as a ratio.
    pub length_ratio_max: f64,
}

impl Default for HackingPolicy {
    fn default() -> Self {
        Self { action: HackingAction::Warn, kl_max: 1.0, length_ratio_max: 3.0 }
    }
}

/// The default of [`Policy::unjudged_ratio_max`]: what is left of a suite should still be most of it.
pub const UNJUDGED_RATIO_MAX_DEFAULT: f64 = 0.5;
/// The most that tries of the same rows can make of [`Policy::false_alarm_max`].
const FALSE_ALARM_CHARGED_MAX: f64 = 0.25;
/// The share of what may pass by chance that is spent by asking in batches: a loss of the margin that is called safe on the way.
const SAFE_SHARE: f64 = 0.5;
/// The share of what may be refused by chance that is. Harm that is worth stopping for is plain.
const EARLY_HARM_SHARE: f64 = 0.2;
/// Tries beyond these are charged no more.
const TRIES_CHARGED_MAX: u32 = 16;

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
    #[error("gate.{key} must be from 0 to 1, not {value}")]
    Share {
        /// Below `gate`.
        key: &'static str,
        /// What stands there.
        value: f64,
    },
    /// Not a chance to live with.
    #[error("gate.{key} must be above 0 and at most 0.5, not {value}")]
    Chance {
        /// Below `gate`.
        key: &'static str,
        /// What stands there.
        value: f64,
    },
    /// Not a loss.
    #[error("gate.anchor.margin must be a number not below 0, not {0}")]
    AnchorMargin(f64),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            confidence: 0.995,
            false_alarm_max: 0.05,
            chance_gain_max: 0.05,
            margin_relative: 0.1,
            anchor_margin: crate::MARGIN_DEFAULT,
            earlier_tries: 0,
            sequential: false,
            resamples: 10_000,
            seed: 0,
            require: Require::Improved,
            uncertain: Uncertain::Allow,
            unjudged_ratio_max: UNJUDGED_RATIO_MAX_DEFAULT,
            max_fault_ratio: 0.1,
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
        let shares = [
            ("unjudged_ratio_max", self.unjudged_ratio_max),
            ("max_fault_ratio", self.max_fault_ratio),
            ("margin_relative", self.margin_relative),
        ];
        if let Some((key, value)) = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(PolicyError::Share { key, value });
        }
        let chances = [("false_alarm_max", self.false_alarm_max), ("chance_gain_max", self.chance_gain_max)];
        if let Some((key, value)) = chances.into_iter().find(|(_, value)| !(*value > 0.0 && *value <= 0.5)) {
            return Err(PolicyError::Chance { key, value });
        }
        if !(self.anchor_margin.is_finite() && self.anchor_margin >= 0.0) {
            return Err(PolicyError::AnchorMargin(self.anchor_margin));
        }
        Ok(())
    }

    /// The confidence of the bounds, with earlier tries charged.
    pub fn confidence_charged(&self) -> f64 {
        1.0 - self.passing() * if self.sequential { 1.0 - SAFE_SHARE } else { 1.0 }
    }

    /// The level of all tests of harm together that compare all items, with earlier tries charged.
    pub fn harm_level(&self) -> f64 {
        self.refused_by_chance() * if self.sequential { 1.0 - EARLY_HARM_SHARE } else { 1.0 }
    }

    /// The share of candidates that lost nothing which may be refused in all, with earlier tries charged.
    pub fn refused_by_chance(&self) -> f64 {
        (self.false_alarm_max * self.charge()).min(FALSE_ALARM_CHARGED_MAX.max(self.false_alarm_max))
    }

    /// The level at which a suite is called safe on the way.
    pub(crate) fn safe_level(&self) -> f64 {
        SAFE_SHARE * self.passing()
    }

    /// The level at which harm is shown on the way, on all suites together.
    pub(crate) fn early_harm_level(&self) -> f64 {
        EARLY_HARM_SHARE * self.refused_by_chance()
    }

    /// The level of all tests of gains together, with earlier tries charged.
    pub fn gain_level(&self) -> f64 {
        self.chance_gain_max / self.charge()
    }

    fn passing(&self) -> f64 {
        (1.0 - self.confidence) / self.charge()
    }

    fn charge(&self) -> f64 {
        f64::from(self.earlier_tries.min(TRIES_CHARGED_MAX)).exp2()
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
        assert!(Policy { false_alarm_max: 0.0, ..Policy::default() }.check().is_err());
        assert!(Policy { anchor_margin: -1.0, ..Policy::default() }.check().is_err());
    }

    #[test]
    fn each_earlier_try_halves_what_passes_and_doubles_what_is_refused_by_chance() {
        let levels = |earlier_tries| {
            let policy = Policy { earlier_tries, ..Policy::default() };
            (policy.confidence_charged(), policy.harm_level(), policy.gain_level())
        };
        assert_eq!(levels(0), (0.995, 0.05, 0.05));
        assert_eq!(levels(2), (0.99875, 0.2, 0.0125));
        assert_eq!(levels(9).1, 0.25);
        assert!(levels(u32::MAX).0 < 1.0);
    }
}
