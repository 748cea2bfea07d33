use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::Http;

const PROBE_INTERVAL: Duration = Duration::from_millis(150);
/// The domain of the rows that must not be lost.
pub(super) const DOMAIN: &str = "probe";

/// What a small sender sees of the daemon meanwhile.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Rows that were acknowledged.
    pub(super) acknowledged: u64,
    /// The longest that one of them waited for its answer.
    pub(super) slowest: Duration,
    /// The most memory that the daemon held, in bytes.
    pub(super) memory_peak: u64,
    /// Rows that were not taken, with what was said instead.
    pub(super) refused: Vec<String>,
}

/// Sends one small row after another, each of its own, until `done`.
pub(super) fn probe(http: Http, daemon: u32, done: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    for number in 0_u64.. {
        if done.load(Ordering::Relaxed) {
            break;
        }
        let row = format!("{{\"prompt\": \"probe {number}\", \"completion\": \"c\", \"domain\": \"{DOMAIN}\"}}\n");
        let started = Instant::now();
        match http.post("/v1/samples", "application/x-ndjson", row.as_bytes()) {
            Ok(answer) if answer.is_success() => seen.acknowledged += 1,
            Ok(answer) => seen.refused.push(format!("{}: {}", answer.status, answer.body)),
            Err(error) => seen.refused.push(format!("{error:#}")),
        }
        seen.slowest = seen.slowest.max(started.elapsed());
        seen.memory_peak = seen.memory_peak.max(memory_bytes(daemon));
        thread::sleep(PROBE_INTERVAL);
    }
    seen
}

/// The memory that a process holds for itself, in bytes; 0 where it is gone.
pub(super) fn memory_bytes(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.map_or(0, |kibibytes| kibibytes << 10)
}
