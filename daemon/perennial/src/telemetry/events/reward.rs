//! What the reward plugins say.

use std::{collections::BTreeMap, sync::PoisonError};

use perennial_reward::{OutcomeKind, Statistics};
use tracing::{debug, warn};

use crate::telemetry::{Event, Telemetry, metrics::RewardMetrics};

/// How many parts of a plugin's reward have labels of their own; its author names them.
const PARTS_LABELLED_MAX: usize = 32;

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
            let parts = statistics.parts.iter().take(PARTS_LABELLED_MAX);
            let parts: BTreeMap<&str, f64> = parts.map(|(part, moments)| (part.as_str(), moments.mean)).collect();
            parts_given(metrics, plugin, &parts);
            metrics.fuel.with_label_values(&[plugin]).inc_by(statistics.fuel);
            metrics.seconds.with_label_values(&[plugin]).inc_by(statistics.seconds);
            debug!(plugin, outcomes = ?statistics.outcomes, mean = statistics.reward.mean, "rewards given");
            if let Some(failure) = &statistics.first_failure {
                warn!(plugin, outcomes = ?statistics.outcomes, failure, "a reward plugin fails");
            }
        }
    }
}

/// A plugin is asked, and says between what its rewards lie.
pub(crate) struct RewardBounds<'a> {
    /// Its name.
    pub(crate) plugin: &'a str,
    /// The least reward that it declares.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
}

impl Event for RewardBounds<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self { plugin, min, max } = self;
        let bounds = &telemetry.metrics().reward.bound;
        bounds.with_label_values(&[plugin, "min"]).set(min);
        bounds.with_label_values(&[plugin, "max"]).set(max);
    }
}

/// A plugin that was changed names other parts: those that it no longer gives go.
fn parts_given(metrics: &RewardMetrics, plugin: &str, parts: &BTreeMap<&str, f64>) {
    let mut known = metrics.parts.lock().unwrap_or_else(PoisonError::into_inner);
    let before = known.entry(plugin.to_owned()).or_default();
    before.retain(|part| {
        let stays = parts.contains_key(part.as_str());
        if !stays {
            // An error says that it is gone already.
            let _ = metrics.part_mean.remove_label_values(&[plugin, part]);
        }
        stays
    });
    for (part, mean) in parts {
        metrics.part_mean.with_label_values(&[plugin, part]).set(*mean);
        before.insert((*part).to_owned());
    }
}

#[cfg(test)]
mod tests {
    use perennial_reward::{Moments, PluginStatistics};

    use super::{super::testing::*, *};

    fn given(parts: &[String]) -> Statistics {
        let moments = || Moments { count: 1, mean: 0.5, ..Moments::default() };
        let parts = parts.iter().map(|part| (part.clone(), moments())).collect();
        let plugin = PluginStatistics { parts, ..PluginStatistics::default() };
        Statistics { plugins: [("p".to_owned(), plugin)].into_iter().collect() }
    }

    #[test]
    fn bounds_are_those_that_were_declared_last() {
        let telemetry = telemetry();
        telemetry.emit(RewardBounds { plugin: "p", min: 0.0, max: 1.0 });
        telemetry.emit(RewardBounds { plugin: "p", min: -1.0, max: 2.0 });
        assert!(exports(&telemetry, r#"perennial_reward_bound{bound="min",plugin="p"} -1"#));
        assert!(exports(&telemetry, r#"perennial_reward_bound{bound="max",plugin="p"} 2"#));
    }

    #[test]
    fn parts_that_a_plugin_no_longer_gives_go_and_their_number_is_bounded() {
        let telemetry = telemetry();
        telemetry.emit(RewardsGiven { statistics: &given(&["old".to_owned(), "kept".to_owned()]) });
        telemetry.emit(RewardsGiven { statistics: &given(&["kept".to_owned()]) });
        assert!(exports(&telemetry, r#"perennial_reward_part_mean{part="kept",plugin="p"} 0.5"#));
        assert!(!telemetry.metrics().render().unwrap().contains(r#"part="old""#));
        let many: Vec<String> = (0..100).map(|at| format!("part{at}")).collect();
        telemetry.emit(RewardsGiven { statistics: &given(&many) });
        let text = telemetry.metrics().render().unwrap();
        assert_eq!(text.matches("perennial_reward_part_mean{").count(), PARTS_LABELLED_MAX);
    }
}
