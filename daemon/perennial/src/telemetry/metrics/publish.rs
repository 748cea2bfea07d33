use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Result};

use super::{Registry, register};

/// The targets of publishing, by their configured names.
pub(crate) struct PublishMetrics {
    pub(crate) behind: IntGaugeVec,
    pub(crate) given_up: IntGaugeVec,
    pub(crate) since: GaugeVec,
    pub(crate) tries: IntCounterVec,
}

impl PublishMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let behind = Opts::new("perennial_publish_behind", "1 while a target serves something else than the champion.");
        let given_up = Opts::new("perennial_publish_given_up", "1 for a target that is behind and tried no more.");
        let since = Opts::new(
            "perennial_publish_since_timestamp_seconds",
            "Since when a target serves the champion, or is behind it; 0: not looked at yet.",
        );
        let tries = Opts::new("perennial_publish_tries_total", "Tries to make a target follow, by what came of them.");
        Ok(Self {
            behind: register(registry, IntGaugeVec::new(behind, &["target"])?)?,
            given_up: register(registry, IntGaugeVec::new(given_up, &["target"])?)?,
            since: register(registry, GaugeVec::new(since, &["target"])?)?,
            tries: register(registry, IntCounterVec::new(tries, &["target", "outcome"])?)?,
        })
    }

    /// A target's labels begin at zero.
    pub(in crate::telemetry) fn begin(&self, target: &str) {
        self.behind.with_label_values(&[target]).set(0);
        self.given_up.with_label_values(&[target]).set(0);
        self.since.with_label_values(&[target]).set(0.0);
        for outcome in ["served", "failed"] {
            self.tries.with_label_values(&[target, outcome]);
        }
    }
}
