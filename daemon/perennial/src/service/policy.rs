//! When a cycle starts. A pure function: no clock, no registry.

use std::time::Duration;

use perennial_types::CycleId;

use crate::{config, ports::Cause};

/// What the decision depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Situation {
    /// The time, in milliseconds since the Unix epoch.
    pub(crate) now_ms: i64,
    /// Training samples that wait for a cycle.
    pub(crate) waiting: u64,
    /// When the oldest of them came in.
    pub(crate) oldest_ms: Option<i64>,
    /// The cycle that was begun and not ended.
    pub(crate) unfinished: Option<CycleId>,
    /// After a failure, nothing starts of itself before this time.
    pub(crate) retry_ms: Option<i64>,
}

/// What to do now, while no cycle runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Carry an unfinished cycle on.
    Continue(CycleId),
    /// Begin a cycle.
    Begin(Cause),
    /// Nothing, until something comes in or this time has come.
    Wait {
        /// In milliseconds since the Unix epoch; `None` where only new samples can change anything.
        until_ms: Option<i64>,
    },
}

/// What the policy says.
pub(crate) fn next(policy: &config::Cycle, situation: &Situation) -> Step {
    let Situation { now_ms, waiting, oldest_ms, unfinished, retry_ms } = *situation;
    if let Some(retry_ms) = retry_ms.filter(|&retry_ms| retry_ms > now_ms) {
        return Step::Wait { until_ms: Some(retry_ms) };
    }
    if let Some(cycle) = unfinished {
        return Step::Continue(cycle);
    }
    if waiting >= policy.samples_min {
        return Step::Begin(Cause::Samples);
    }
    let due_ms = oldest_ms
        .filter(|_| waiting >= policy.age_samples_min)
        .map(|oldest_ms| oldest_ms.saturating_add_unsigned(policy.age_max_seconds.saturating_mul(1000)));
    match due_ms {
        Some(due_ms) if due_ms <= now_ms => Step::Begin(Cause::Age),
        until_ms => Step::Wait { until_ms },
    }
}

const BACKOFF_FIRST: Duration = Duration::from_secs(30);
const BACKOFF_MAX: Duration = Duration::from_secs(3600);

/// How long to wait after so many failures in a row: twice as long each time, an hour at most.
pub(crate) fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    (BACKOFF_FIRST * 2_u32.pow(doublings)).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: config::Cycle = config::Cycle {
        samples_min: 100,
        age_max_seconds: 60,
        age_samples_min: 10,
        samples_max: 500,
        seed: 0,
        keep: 1,
        attempts_max: 1,
        adapters_keep: 1,
    };

    fn step(situation: Situation) -> Step {
        next(&POLICY, &situation)
    }

    #[test]
    fn enough_samples_start_a_cycle_at_once() {
        assert_eq!(step(Situation { waiting: 100, ..Default::default() }), Step::Begin(Cause::Samples));
        assert_eq!(step(Situation { waiting: 9, ..Default::default() }), Step::Wait { until_ms: None });
    }

    #[test]
    fn few_samples_start_one_when_the_oldest_is_old_enough() {
        let young = Situation { now_ms: 60_999, waiting: 10, oldest_ms: Some(1_000), ..Default::default() };
        assert_eq!(step(young), Step::Wait { until_ms: Some(61_000) });
        assert_eq!(step(Situation { now_ms: 61_000, ..young }), Step::Begin(Cause::Age));
        assert_eq!(step(Situation { waiting: 9, now_ms: 61_000, ..young }), Step::Wait { until_ms: None });
    }

    #[test]
    fn unfinished_cycle_goes_first() {
        let situation = Situation { waiting: 1000, unfinished: Some(CycleId(3)), ..Default::default() };
        assert_eq!(step(situation), Step::Continue(CycleId(3)));
    }

    #[test]
    fn nothing_starts_before_the_pause_after_a_failure_is_over() {
        let situation =
            Situation { waiting: 1000, unfinished: Some(CycleId(3)), retry_ms: Some(500), ..Default::default() };
        assert_eq!(step(Situation { now_ms: 499, ..situation }), Step::Wait { until_ms: Some(500) });
        assert_eq!(step(Situation { now_ms: 500, ..situation }), Step::Continue(CycleId(3)));
    }

    #[test]
    fn pauses_grow_to_an_hour() {
        assert_eq!([1, 2, 3, 50].map(|failures| backoff(failures).as_secs()), [30, 60, 120, 3600]);
    }
}
