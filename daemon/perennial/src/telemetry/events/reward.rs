//! What the reward plugins say.

use perennial_reward::{OutcomeKind, Statistics};
use tracing::{debug, warn};

use crate::telemetry::{Event, Telemetry};

/// Plugins gave their verdicts on the completions of a generation, or on a suite.
pub(crate) struct RewardsGiven<'a> {
    /// What they said.
    pub(crate) statistics: &'a Statistics,
}

impl Event for RewardsGiven<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let metrics = &telemetry.metrics().reward;
        for (plugin, statistics) in &self.statistics.plugins {
            for outcome in OutcomeKind::ALL {
                metrics.outcomes.with_label_values(&[plugin, outcome.as_str()]).inc_by(statistics.count(outcome));
            }
            if statistics.reward.count > 0 {
                metrics.mean.with_label_values(&[plugin]).set(statistics.reward.mean);
            }
            for (part, moments) in &statistics.parts {
                metrics.part_mean.with_label_values(&[plugin, part]).set(moments.mean);
            }
            metrics.fuel.with_label_values(&[plugin]).inc_by(statistics.fuel);
            metrics.seconds.with_label_values(&[plugin]).inc_by(statistics.seconds);
            debug!(plugin, outcomes = ?statistics.outcomes, mean = statistics.reward.mean, "rewards given");
            if let Some(failure) = &statistics.first_failure {
                warn!(plugin, outcomes = ?statistics.outcomes, failure, "a reward plugin fails");
            }
        }
    }
}
