use serde::{Deserialize, Serialize};

use crate::{Metric, Policy, RewardScale, Suite};

/// The least that a relative margin comes to: the share of the score's range that no suite of a deployment can tell.
const MARGIN_MIN: f64 = 0.01;

/// Where the margin that was used comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarginBy {
    /// The suite's own, as configured.
    Configured,
    /// The share of the champion's score that may be lost (`gate.margin_relative`).
    Relative,
    /// That share would be less than any suite can tell, so it is 0.01 of the score's range.
    Floor,
}

impl MarginBy {
    /// Why the margin is what it is, for reports.
    pub fn why(self, policy: &Policy) -> String {
        match self {
            Self::Configured => "as configured".to_owned(),
            Self::Relative => format!("{} % of the champion's score", 100.0 * policy.margin_relative),
            Self::Floor => {
                format!("{} % of the champion's score is less than can be told", 100.0 * policy.margin_relative)
            }
        }
    }
}

/// The loss that a suite tolerates beside a champion with this mean item score.
pub fn margin_beside(suite: &Suite, champion: f64, policy: &Policy) -> f64 {
    used(suite.metric, suite.reward.as_ref(), champion, suite.margin, policy).0
}

/// The loss that a suite tolerates beside a champion with this mean score: its margin, or less where the champion scores so
/// low that the margin would be much of what it knows.
///
/// Nats per token stay as they are: a difference of 0.05 nats is a factor of `e^0.05` of the perplexity whatever the
/// perplexity is, so that margin is a relative one already. A share of 0 leaves all margins as they are. A reward is relative to the lowest that its plugin gives.
pub(crate) fn used(
    metric: Metric,
    reward: Option<&RewardScale>,
    champion: f64,
    margin: f64,
    policy: &Policy,
) -> (f64, MarginBy) {
    if metric == Metric::Perplexity || policy.margin_relative == 0.0 {
        return (margin, MarginBy::Configured);
    }
    let (lowest, range) = reward.map_or((0.0, 1.0), |reward| (reward.min, reward.max - reward.min));
    let relative = policy.margin_relative * (champion - lowest);
    let floor = MARGIN_MIN * range;
    match () {
        () if margin <= relative.max(floor) => (margin, MarginBy::Configured),
        () if relative >= floor => (relative, MarginBy::Relative),
        () => (floor, MarginBy::Floor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_at_most_a_share_of_what_the_champion_knows() {
        let of = |champion, margin| used(Metric::TokenF1, None, champion, margin, &Policy::default());
        assert_eq!(of(0.6, 0.05), (0.05, MarginBy::Configured));
        assert_eq!(of(0.25, 0.05), (0.025, MarginBy::Relative));
        assert_eq!(of(0.06, 0.05), (0.01, MarginBy::Floor));
        assert_eq!(of(0.0, 0.002), (0.002, MarginBy::Configured));
        assert_eq!(used(Metric::Perplexity, None, -2.0, 0.05, &Policy::default()).0, 0.05);
        let as_they_are = Policy { margin_relative: 0.0, ..Policy::default() };
        assert_eq!(used(Metric::TokenF1, None, 0.06, 1.0, &as_they_are), (1.0, MarginBy::Configured));
        let reward = RewardScale {
            plugin: "p".to_owned(),
            fingerprint: perennial_types::Fingerprint::of(b""),
            min: -1.0,
            max: 1.0,
        };
        let (margin, by) = used(Metric::Reward, Some(&reward), -0.7, 0.1, &Policy::default());
        assert!((margin - 0.03).abs() < 1e-12 && by == MarginBy::Relative);
    }
}
