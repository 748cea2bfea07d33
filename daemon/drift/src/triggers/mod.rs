//! What begins a cycle: a file each, and a line in [`TRIGGERS`].

mod age;
mod drift;
mod manual;
mod samples;

use std::fmt;

/// All triggers; of several that are due, the first begins the cycle.
pub static TRIGGERS: &[&dyn Trigger] = &[&manual::Manual, &drift::Drift, &samples::Samples, &age::Age];

/// Somebody asked for a cycle.
pub const MANUAL: Cause = Cause(manual::NAME);

/// Says when a cycle is due.
pub trait Trigger: Sync {
    /// Its name: what a cycle that it began has as its reason.
    fn name(&self) -> &'static str;

    /// When a cycle is due.
    fn due(&self, limits: &Limits, standing: &Standing) -> Due;
}

/// The trigger that began a cycle, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cause(&'static str);

impl Cause {
    /// The trigger's name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What triggers are configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// So many waiting samples begin a cycle.
    pub samples_min: u64,
    /// So does one that has waited for so long, in seconds …
    pub age_max_seconds: u64,
    /// … provided that so many wait. Drift begins one as well, with as many.
    pub age_samples_min: u64,
}

/// How things stand. Times are milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// Training samples that wait for a cycle.
    pub waiting: u64,
    /// When the oldest of them came in.
    pub oldest_ms: Option<i64>,
    /// Whether somebody asks for a cycle.
    pub is_asked: bool,
    /// Whether what comes in has drifted, and that may begin a cycle.
    pub is_drifted: bool,
}

/// When a cycle is due by a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// At this time, if nothing changes before.
    At(i64),
    /// Not before something changes.
    No,
}

/// What all triggers say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A cycle is due.
    Begin(Cause),
    /// None is, before this time.
    Wait {
        /// `None` where only a change makes one due.
        until_ms: Option<i64>,
    },
}

/// Asks all triggers.
pub fn next(limits: &Limits, standing: &Standing) -> Next {
    let mut until_ms: Option<i64> = None;
    for trigger in TRIGGERS {
        match trigger.due(limits, standing) {
            Due::Now => return Next::Begin(Cause(trigger.name())),
            Due::At(at_ms) => until_ms = Some(until_ms.map_or(at_ms, |until_ms| until_ms.min(at_ms))),
            Due::No => {}
        }
    }
    Next::Wait { until_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { samples_min: 100, age_max_seconds: 60, age_samples_min: 10 };

    fn ask(standing: Standing) -> Next {
        next(&LIMITS, &standing)
    }

    fn begun(name: &'static str) -> Next {
        Next::Begin(Cause(name))
    }

    #[test]
    fn enough_samples_begin_a_cycle_at_once() {
        assert_eq!(ask(Standing { waiting: 100, ..Default::default() }), begun("samples"));
        assert_eq!(ask(Standing { waiting: 9, ..Default::default() }), Next::Wait { until_ms: None });
    }

    #[test]
    fn few_samples_begin_one_when_the_oldest_is_old_enough() {
        let young = Standing { now_ms: 60_999, waiting: 10, oldest_ms: Some(1_000), ..Default::default() };
        assert_eq!(ask(young), Next::Wait { until_ms: Some(61_000) });
        assert_eq!(ask(Standing { now_ms: 61_000, ..young }), begun("age"));
        assert_eq!(ask(Standing { waiting: 9, now_ms: 61_000, ..young }), Next::Wait { until_ms: None });
    }

    #[test]
    fn drift_begins_one_where_enough_wait() {
        let drifted = Standing { is_drifted: true, waiting: 10, ..Default::default() };
        assert_eq!(ask(drifted), begun("drift"));
        assert_eq!(ask(Standing { waiting: 100, ..drifted }), begun("drift"));
        assert_eq!(ask(Standing { waiting: 9, ..drifted }), Next::Wait { until_ms: None });
    }

    #[test]
    fn whoever_asks_comes_first() {
        let asked = Standing { is_asked: true, ..Default::default() };
        assert_eq!(ask(asked), Next::Begin(MANUAL));
        assert_eq!(ask(Standing { waiting: 100, ..asked }), Next::Begin(MANUAL));
    }
}
