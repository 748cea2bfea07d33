//! What kinds of targets share that may keep one waiting: how long a try may take, and how often it is made.

use std::time::Duration;

use reqwest::Url;

use crate::{Fault, Tries};

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(900);

/// The default of `timeout_seconds`.
pub(crate) fn timeout_seconds() -> u64 {
    10
}

/// The default of `attempts_max`.
pub(crate) fn attempts_max() -> u32 {
    20
}

/// The default of `pause_seconds`.
pub(crate) fn pause_seconds() -> u64 {
    5
}

/// What makes no sense of them.
pub(crate) fn faults(timeout_seconds: u64, attempts_max: u32, pause_seconds: u64) -> impl Iterator<Item = Fault> {
    let checks = [
        ("timeout_seconds", (1..=300).contains(&timeout_seconds), "must be from 1 to 300"),
        ("attempts_max", (1..=1000).contains(&attempts_max), "must be from 1 to 1000"),
        ("pause_seconds", (1..=PAUSE_MAX.as_secs()).contains(&pause_seconds), "must be from 1 to 900"),
    ];
    let wrong = checks.into_iter().filter(|(_, is_right, _)| !is_right);
    wrong.map(|(key, _, problem)| Fault { key, problem: problem.to_owned() })
}

/// How a change is tried.
pub(crate) fn tries(attempts_max: u32, pause_seconds: u64) -> Tries {
    Tries { pause_first: Duration::from_secs(pause_seconds), pause_max: PAUSE_MAX, attempts_max: Some(attempts_max) }
}

/// What is wrong with an address.
pub(crate) fn address_fault(url: &str) -> Option<&'static str> {
    let is_address = url.parse::<Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    (!is_address).then_some("must be an address that begins with http:// or https://")
}
