use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Policy, Reason, SuiteReport, Verdict};

/// A figure at the beginning and at the end of a training run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// The mean over the first stretch of steps.
    pub first: f64,
    /// The mean over the last stretch.
    pub last: f64,
    /// The standard error of their difference.
    pub error: f64,
}

/// How many standard errors a figure has to rise before the rise is more than the luck of the draw.
const RISE_ERRORS_MIN: f64 = 2.0;

impl Trend {
    /// Of one figure per step: the first and the last fifth of the steps, at least one each.
    pub fn of(steps: &[f64]) -> Option<Self> {
        let stretch = steps.len().div_ceil(5);
        let (first, last) = (steps.get(..stretch)?, steps.get(steps.len() - stretch..)?);
        if stretch == 0 {
            return None;
        }
        let (first, first_variance) = mean_and_variance_of_mean(first);
        let (last, last_variance) = mean_and_variance_of_mean(last);
        Some(Self { first, last, error: (first_variance + last_variance).sqrt() })
    }

    /// Whether it rose by more than chance.
    pub fn rises(&self) -> bool {
        self.last - self.first > RISE_ERRORS_MIN * self.error
    }
}

fn mean_and_variance_of_mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (n - 1.0).max(1.0) / n)
}

/// What the gate is told of a run that learned from reward plugins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardTraining {
    /// The plugins whose rewards were optimised.
    pub optimised: Vec<String>,
    /// Optimiser steps of the run.
    pub steps: u64,
    /// The mean reward of a step's completions; `None` where nothing was ever scored.
    pub reward: Option<Trend>,
    /// Their mean length, in tokens.
    pub length: Trend,
    /// KL(π_θ‖π_ref), in nats per token, where a reference was kept.
    pub kl: Option<Trend>,
    /// The entropy of the policy, in nats per token.
    pub entropy: Option<Trend>,
    /// The share of tokens whose importance weight was clipped.
    pub clip_ratio: Option<Trend>,
    /// The share of completions that were cut off.
    pub truncated: Option<Trend>,
    /// The share of completions that nothing scored.
    #[serde(default)]
    pub unscored: Option<Trend>,
    /// The share of groups whose rewards were all equal, which teach nothing.
    #[serde(default)]
    pub zero_variance: Option<Trend>,
    /// What each plugin said, the merely measured ones too.
    pub plugins: Vec<PluginSummary>,
}

impl RewardTraining {
    /// Whether a suite is judged by a plugin whose reward was optimised.
    pub(crate) fn optimises(&self, suite: &SuiteReport) -> bool {
        suite.plugin.as_ref().is_some_and(|plugin| self.optimised.contains(plugin))
    }
}

/// What one plugin said over a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PluginSummary {
    /// Its name in the configuration.
    pub name: String,
    /// Its version, as it says itself.
    pub version: String,
    /// Its share in the reward.
    pub weight: f64,
    /// Completions by what became of them: `scored`, `abstained`, `faulted`, `timed_out`.
    pub outcomes: BTreeMap<String, u64>,
    /// The mean reward of what it scored, where it scored anything.
    pub reward: Option<Trend>,
    /// The mean of each part.
    pub parts: BTreeMap<String, Trend>,
}

/// The signs of reward hacking: the reward rose in training while suites that it does not score fell or gained nothing, the
/// policy went far from its reference, or completions changed their length. (Gao et al. 2210.10760 measure the first two.)
pub(crate) fn suspicions(training: &RewardTraining, suites: &[SuiteReport], policy: &Policy) -> Vec<Reason> {
    let RewardTraining { reward, length, kl, .. } = training;
    let level = policy.harm_level();
    let policy = &policy.hacking;
    let independent = |suite: &&SuiteReport| suite.verdict != Verdict::Void && !training.optimises(suite);
    let independent: Vec<&SuiteReport> = suites.iter().filter(independent).collect();
    let mut found = Vec::new();
    if let Some(reward) = reward.filter(Trend::rises) {
        let fell = independent.iter().filter(|suite| suite.harm.is_some_and(|harm| harm <= level));
        found.extend(fell.map(|suite| Reason::RewardAgainstSuite {
            suite: suite.suite.clone(),
            first: reward.first,
            last: reward.last,
            difference: suite.difference.mean,
        }));
        let targets: Vec<&&SuiteReport> = independent.iter().filter(|suite| suite.target).collect();
        if !targets.is_empty() && targets.iter().all(|suite| suite.verdict != Verdict::Improved) {
            let suites = targets.iter().map(|suite| suite.suite.clone()).collect();
            found.push(Reason::RewardWithoutGain { first: reward.first, last: reward.last, suites });
        }
    }
    if let Some(kl) = kl.filter(|kl| kl.last > policy.kl_max) {
        found.push(Reason::FarFromReference { kl: kl.last, kl_max: policy.kl_max });
    }
    let ratio = length.last.max(f64::MIN_POSITIVE) / length.first.max(f64::MIN_POSITIVE);
    if ratio > policy.length_ratio_max || ratio < 1.0 / policy.length_ratio_max {
        let Trend { first, last, .. } = *length;
        found.push(Reason::LengthDrift { first, last, ratio_max: policy.length_ratio_max });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::tests::suite;

    fn training(reward: [f64; 2], length: [f64; 2], kl: Option<f64>) -> RewardTraining {
        let trend = |[first, last]: [f64; 2]| Trend { first, last, error: 0.01 };
        RewardTraining {
            optimised: vec!["tickets".to_owned()],
            steps: 10,
            reward: Some(trend(reward)),
            length: trend(length),
            kl: kl.map(|kl| trend([0.0, kl])),
            entropy: None,
            clip_ratio: None,
            truncated: None,
            unscored: None,
            zero_variance: None,
            plugins: vec![],
        }
    }

    fn found(training: &RewardTraining, suites: &[SuiteReport]) -> Vec<String> {
        suspicions(training, suites, &Policy::default()).iter().map(ToString::to_string).collect()
    }

    fn fell(name: &str) -> SuiteReport {
        let mut suite = suite(name, "protected", Verdict::NotWorse);
        suite.difference = crate::Interval { mean: -0.03, lower: -0.04, upper: -0.02 };
        suite.harm = Some(0.001);
        suite
    }

    #[test]
    fn a_rise_that_only_the_optimised_plugin_sees_is_suspect() {
        let own = SuiteReport { plugin: Some("tickets".to_owned()), ..suite("own", "target", Verdict::Improved) };
        let run = training([0.2, 0.6], [40.0, 50.0], Some(0.1));
        let suites = [own.clone(), suite("golden", "target", Verdict::NotWorse), fell("general")];
        assert_eq!(
            found(&run, &suites),
            [
                "the reward rose from 0.200 to 0.600 in training while suite general, which it does not score, fell by 0.030",
                "the reward rose from 0.200 to 0.600 in training, but no suite that it does not score improved (golden)",
            ]
        );
        let suites = [own, suite("golden", "target", Verdict::Improved)];
        assert!(found(&run, &suites).is_empty());
    }

    #[test]
    fn without_a_rise_a_loss_is_the_suites_own_matter() {
        assert!(found(&training([0.2, 0.21], [40.0, 40.0], None), &[fell("general")]).is_empty());
    }

    #[test]
    fn distance_and_length_are_suspect_beyond_their_limits() {
        let far = training([0.2, 0.2], [90.0, 20.0], Some(1.5));
        assert_eq!(
            found(&far, &[]),
            [
                "the policy went 1.500 nats per token from its reference, more than gate.hacking.kl_max of 1",
                "completions went from 90.0 to 20.0 tokens, by more than gate.hacking.length_ratio_max of 3",
            ]
        );
        assert!(found(&training([0.2, 0.2], [20.0, 59.0], Some(0.9)), &[]).is_empty());
    }

    #[test]
    fn a_trend_is_of_the_ends_of_the_run() {
        let steps: Vec<f64> = (0..10).map(f64::from).collect();
        let trend = Trend::of(&steps).unwrap();
        assert_eq!((trend.first, trend.last), (0.5, 8.5));
        assert!(trend.rises());
        assert_eq!(Trend::of(&[]), None);
        assert!(!Trend::of(&[1.0, 1.0]).unwrap().rises());
    }
}
