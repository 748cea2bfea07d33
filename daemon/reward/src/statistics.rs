use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{FaultKind, GroupVerdict, Outcome, OutcomeKind, Panel, Scoring};

/// Count, mean, spread and range of a stream of numbers. Adding the same numbers in the same order, and merging the same
/// statistics in the same order, gives the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many values were taken in.
    pub count: u64,
    /// Their mean; 0 where there are none.
    pub mean: f64,
    /// The sum of squared distances from the mean.
    pub squares: f64,
    /// The least; 0 where there are none.
    pub min: f64,
    /// The greatest; 0 where there are none.
    pub max: f64,
}

impl Moments {
    /// Adds a number (Welford's update).
    pub fn add(&mut self, value: f64) {
        self.merge(&Self { count: 1, mean: value, squares: 0.0, min: value, max: value });
    }

    /// Adds all of another stream (Chan, Golub and LeVeque's update).
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (here, there) = (self.count as f64, other.count as f64);
        let distance = other.mean - self.mean;
        self.mean += distance * there / (here + there);
        self.squares += other.squares + distance * distance * here * there / (here + there);
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// The standard deviation of the sample (divided by n − 1), as TRL reports it; 0 for fewer than two numbers.
    pub fn standard_deviation(&self) -> f64 {
        if self.count < 2 { 0.0 } else { (self.squares / (self.count - 1) as f64).sqrt() }
    }
}

/// What one plugin did over many samples: outcomes, rewards, each part, cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PluginStatistics {
    /// How many samples came to each outcome.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// How many of the faults were of each kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// The rewards, unweighted.
    pub reward: Moments,
    /// Each part by name.
    pub parts: BTreeMap<String, Moments>,
    /// One scores the completions of a whole group.
    pub calls: u64,
    /// The fuel of all calls.
    pub fuel: u64,
    /// The largest memory of any call, in bytes.
    pub memory_bytes_peak: u64,
    /// The time of all calls, in seconds. The only field that differs from run to run.
    pub seconds: f64,
    /// The first fault or time-out, as the operator reads it.
    pub first_failure: Option<String>,
}

impl PluginStatistics {
    /// Adds one call.
    pub fn add(&mut self, scoring: &Scoring) {
        for outcome in &scoring.outcomes {
            self.add_outcome(outcome);
        }
        self.calls += 1;
        self.fuel = self.fuel.saturating_add(scoring.cost.fuel);
        self.memory_bytes_peak = self.memory_bytes_peak.max(scoring.cost.memory_bytes_peak);
        self.seconds += scoring.cost.took.as_secs_f64();
    }

    fn add_outcome(&mut self, outcome: &Outcome) {
        *self.outcomes.entry(outcome.kind()).or_default() += 1;
        match outcome {
            Outcome::Scored(score) => {
                self.reward.add(score.reward);
                for (name, value) in &score.parts {
                    self.parts.entry(name.clone()).or_default().add(*value);
                }
            }
            Outcome::Abstained(_) => {}
            Outcome::Faulted(fault) => {
                *self.faults.entry(fault.kind).or_default() += 1;
                self.first_failure.get_or_insert_with(|| fault.message.clone());
            }
            Outcome::TimedOut(message) => {
                self.first_failure.get_or_insert_with(|| message.clone());
            }
        }
    }

    /// Adds all of another stretch, which came after this one.
    pub fn merge(&mut self, other: &Self) {
        for (kind, count) in &other.outcomes {
            *self.outcomes.entry(*kind).or_default() += count;
        }
        for (kind, count) in &other.faults {
            *self.faults.entry(*kind).or_default() += count;
        }
        self.reward.merge(&other.reward);
        for (name, moments) in &other.parts {
            self.parts.entry(name.clone()).or_default().merge(moments);
        }
        self.calls += other.calls;
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.memory_bytes_peak = self.memory_bytes_peak.max(other.memory_bytes_peak);
        self.seconds += other.seconds;
        if self.first_failure.is_none() {
            self.first_failure.clone_from(&other.first_failure);
        }
    }

    /// How many samples came to this outcome.
    pub fn count(&self, kind: OutcomeKind) -> u64 {
        self.outcomes.get(&kind).copied().unwrap_or(0)
    }

    /// All samples, whatever came of them.
    pub fn samples(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// The statistics of every plugin of a panel, by its name in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// Of each plugin, by its name in the configuration.
    pub plugins: BTreeMap<String, PluginStatistics>,
}

impl Statistics {
    /// Adds a group that this panel judged.
    pub fn add(&mut self, panel: &Panel, verdict: &GroupVerdict) {
        for (member, scoring) in panel.members.iter().zip(&verdict.per_member) {
            self.plugins.entry(member.plugin.name().to_owned()).or_default().add(scoring);
        }
    }

    /// Adds all of another stretch, which came after this one.
    pub fn merge(&mut self, other: &Self) {
        for (name, statistics) in &other.plugins {
            self.plugins.entry(name.clone()).or_default().merge(statistics);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moments(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.add(*value));
        moments
    }

    #[test]
    fn moments_are_those_of_the_textbook() {
        let moments = moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!((moments.count, moments.mean, moments.min, moments.max), (8, 5.0, 2.0, 9.0));
        assert!((moments.standard_deviation() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(super::Moments::default().standard_deviation(), 0.0);
    }

    proptest! {
        #[test]
        fn merging_is_adding(values in prop::collection::vec(-1e3..1e3_f64, 0..40), at in 0_usize..40) {
            let (head, tail) = values.split_at(at.min(values.len()));
            let mut merged = moments(head);
            merged.merge(&moments(tail));
            let whole = moments(&values);
            prop_assert_eq!(merged.count, whole.count);
            prop_assert!((merged.mean - whole.mean).abs() < 1e-9);
            prop_assert!((merged.standard_deviation() - whole.standard_deviation()).abs() < 1e-9);
            prop_assert_eq!((merged.min, merged.max), (whole.min, whole.max));
        }
    }
}
