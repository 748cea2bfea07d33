//! The rows that come in beside a cycle.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;
use perennial_registry::Registry;
use perennial_tests::Http;

/// The rows that come in beside the cycle: preferences, which the cycle does not train on, so that its end does not depend on
/// when they came.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) sent: AtomicU64,
    /// Numbers of rows that were acknowledged, or lay in the inbox.
    pub(crate) acknowledged: Mutex<Vec<u64>>,
}

impl Rows {
    /// Sends rows, a few at a time, until nobody takes them any more.
    pub(crate) fn post(&self, http: Http, over: &AtomicBool) {
        const TOGETHER: u64 = 3;
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(40));
            if http.get("/live").is_err() {
                continue;
            }
            let numbers: Vec<u64> = (0..TOGETHER).map(|_| self.next()).collect();
            // An answer that was cut off promises nothing.
            if let Ok(Some(_)) = post(http, &numbers) {
                self.acknowledged.lock().unwrap().extend(numbers);
            }
        }
    }

    pub(crate) fn next(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::Relaxed)
    }
}

pub(crate) fn row(number: u64) -> String {
    format!(
        r#"{{"prompt": "Which is right, {number} or less?", "chosen": "{number}", "rejected": "less", "domain": "side"}}"#
    )
}

/// Sends rows, and returns how many of them were new; `None` where they were refused.
pub(crate) fn post(http: Http, numbers: &[u64]) -> Result<Option<u64>> {
    let body: String = numbers.iter().map(|number| row(*number) + "\n").collect();
    let response = http.post("/v1/samples", "application/x-ndjson", body.as_bytes())?;
    Ok(if response.status == 200 { response.json()?["accepted"].as_u64() } else { None })
}

/// How many of them are stored.
pub(crate) fn side_rows(registry: &Registry) -> Result<u64> {
    Ok(registry.sample_counts()?.iter().filter(|count| count.domain.as_str() == "side").map(|count| count.count).sum())
}
