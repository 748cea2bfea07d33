//! When a cycle starts. A pure function: no clock, no registry.

use std::time::Duration;

use perennial_types::CycleId;

use perennial_drift::{Cause, Limits, Next, Standing};

use crate::config;

/// What the decision depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Situation {
    /// The time, in milliseconds since the Unix epoch.
    pub(crate) now_ms: i64,
    /// Training samples that may begin a cycle.
    pub(crate) waiting: u64,
    /// When the oldest of them came in.
    pub(crate) oldest_ms: Option<i64>,
    /// The cycle that was begun and not ended.
    pub(crate) unfinished: Option<CycleId>,
    /// When its candidate is declined where nobody says anything, in milliseconds since the Unix epoch; `None` where it waits for
    /// nobody.
    pub(crate) held_until_ms: Option<i64>,
    /// Whether somebody asks for a cycle.
    pub(crate) is_asked: bool,
    /// Whether what comes in has drifted, and that may begin a cycle.
    pub(crate) is_drifted: bool,
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
    let Situation { now_ms, waiting, oldest_ms, unfinished, held_until_ms, is_asked, is_drifted, retry_ms } =
        *situation;
    if let Some(retry_ms) = retry_ms.filter(|&retry_ms| retry_ms > now_ms) {
        return Step::Wait { until_ms: Some(retry_ms) };
    }
    if let Some(until_ms) = held_until_ms.filter(|&until_ms| until_ms > now_ms && !is_asked) {
        return Step::Wait { until_ms: Some(until_ms) };
    }
    if let Some(cycle) = unfinished {
        return Step::Continue(cycle);
    }
    let config::Cycle { samples_min, age_max_seconds, age_samples_min, .. } = *policy;
    let limits = Limits { samples_min, age_max_seconds, age_samples_min };
    match perennial_drift::next(&limits, &Standing { now_ms, waiting, oldest_ms, is_asked, is_drifted }) {
        Next::Begin(cause) => Step::Begin(cause),
        Next::Wait { until_ms } => Step::Wait { until_ms },
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
        twin_similarity: 1.0,
        requeue_max: 2,
    };

    fn step(situation: Situation) -> Step {
        next(&POLICY, &situation)
    }

    #[test]
    fn triggers_begin_a_cycle_by_their_names_and_say_when_to_look_again() {
        let begun = |situation| match step(situation) {
            Step::Begin(cause) => Ok(cause.as_str()),
            other => Err(other),
        };
        assert_eq!(begun(Situation { waiting: 100, ..Default::default() }), Ok("samples"));
        let young = Situation { now_ms: 60_999, waiting: 10, oldest_ms: Some(1_000), ..Default::default() };
        assert_eq!(begun(young), Err(Step::Wait { until_ms: Some(61_000) }));
        assert_eq!(begun(Situation { now_ms: 61_000, ..young }), Ok("age"));
        assert_eq!(begun(Situation { is_drifted: true, ..young }), Ok("drift"));
        assert_eq!(begun(Situation { is_asked: true, ..young }), Ok("manual"));
    }

    #[test]
    fn unfinished_cycle_goes_first() {
        let situation = Situation { waiting: 1000, unfinished: Some(CycleId(3)), ..Default::default() };
        assert_eq!(step(situation), Step::Continue(CycleId(3)));
    }

    #[test]
    fn a_candidate_that_waits_lets_nothing_else_begin_until_its_time_is_up() {
        let held = Situation {
            waiting: 1000,
            unfinished: Some(CycleId(3)),
            held_until_ms: Some(500),
            is_drifted: true,
            ..Default::default()
        };
        assert_eq!(step(Situation { now_ms: 499, ..held }), Step::Wait { until_ms: Some(500) });
        assert_eq!(step(Situation { now_ms: 500, ..held }), Step::Continue(CycleId(3)));
        assert_eq!(step(Situation { is_asked: true, ..held }), Step::Continue(CycleId(3)), "who asks is told");
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
