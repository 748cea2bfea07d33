//! What moved in what comes in, in the champion, and in what champions keep.

use perennial_drift::{DETECTORS, Scope};
use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Result};

use super::{Registry, register};

/// What moved.
pub(crate) struct DriftMetrics {
    pub(crate) score: GaugeVec,
    pub(crate) threshold: GaugeVec,
    pub(crate) drifted: IntGaugeVec,
    pub(crate) samples: IntGaugeVec,
    pub(crate) measured: Gauge,
    pub(crate) policy_kl: GaugeVec,
    pub(crate) policy_entropy: Gauge,
    pub(crate) policy_distinct: GaugeVec,
    pub(crate) policy_measured: Gauge,
    pub(crate) retention_acc: Gauge,
    pub(crate) retention_bwt: Gauge,
    pub(crate) retention_forgetting: GaugeVec,
    pub(crate) retention_suites: IntGauge,
}

impl DriftMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let gauge = |name: &str, help: &str| register(registry, Gauge::new(name, help)?);
        let gauges =
            |name: &str, help: &str, labels: &[&str]| register(registry, GaugeVec::new(Opts::new(name, help), labels)?);
        let counts = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let of = ["detector", "domain"];
        let unknown = "NaN: not known.";
        let score =
            "How far what comes in is from what the champion learned, by detector and domain (none: all samples).";
        let metrics = Self {
            score: gauges("perennial_drift_score", &format!("{score} {unknown}"), &of)?,
            threshold: gauges(
                "perennial_drift_threshold",
                &format!("The score beyond which it is drift. {unknown}"),
                &of,
            )?,
            drifted: counts("perennial_drift_drifted", "1 where the score is beyond its threshold.", &of)?,
            samples: counts(
                "perennial_drift_window_samples",
                "Samples that are compared, and looked at.",
                &["window"],
            )?,
            measured: gauge("perennial_drift_measured_timestamp_seconds", "When drift was measured last; 0: never.")?,
            policy_kl: gauges(
                "perennial_policy_kl_nats",
                &format!(
                    "KL divergence per token of the champion from the base model and from the champion before. {unknown}"
                ),
                &["from"],
            )?,
            policy_entropy: gauge(
                "perennial_policy_entropy_nats",
                &format!("The champion's entropy per token. {unknown}"),
            )?,
            policy_distinct: gauges(
                "perennial_policy_distinct_ratio",
                &format!("Share of different runs of n tokens in what the champion says. {unknown}"),
                &["n"],
            )?,
            policy_measured: gauge(
                "perennial_policy_measured_timestamp_seconds",
                "When the champion was measured against the models before it; 0: not yet.",
            )?,
            retention_acc: gauge(
                "perennial_retention_acc_ratio",
                &format!("The champion's mean score over suites (ACC). {unknown}"),
            )?,
            retention_bwt: gauge(
                "perennial_retention_bwt_ratio",
                &format!("Mean change of scores since each suite was first asked (BWT). {unknown}"),
            )?,
            retention_forgetting: gauges(
                "perennial_retention_forgetting_ratio",
                "The best score of an earlier champion less this one's.",
                &["suite"],
            )?,
            retention_suites: register(
                registry,
                IntGauge::new("perennial_retention_suites", "Suites that the champion has a score on.")?,
            )?,
        };
        for detector in DETECTORS.iter().filter(|detector| detector.scope() == Scope::Whole) {
            metrics.begin(detector.name(), "");
        }
        for window in ["reference", "current"] {
            metrics.samples.with_label_values(&[window]).set(0);
        }
        metrics.no_policy();
        metrics.no_retention();
        Ok(metrics)
    }

    /// A detector that cannot say anything yet: it must not look as if nothing moved.
    fn begin(&self, detector: &str, domain: &str) {
        self.score.with_label_values(&[detector, domain]).set(f64::NAN);
        self.threshold.with_label_values(&[detector, domain]).set(f64::NAN);
        self.drifted.with_label_values(&[detector, domain]).set(0);
    }

    pub(in crate::telemetry) fn forget(&self, detector: &str, domain: &str) {
        let labels = [detector, domain];
        // One that was never there is as good as gone.
        let _ = self.score.remove_label_values(&labels);
        let _ = self.threshold.remove_label_values(&labels);
        let _ = self.drifted.remove_label_values(&labels);
    }

    pub(in crate::telemetry) fn no_policy(&self) {
        for from in ["base", "previous"] {
            self.policy_kl.with_label_values(&[from]).set(f64::NAN);
        }
        for n in ["1", "2", "3"] {
            self.policy_distinct.with_label_values(&[n]).set(f64::NAN);
        }
        self.policy_entropy.set(f64::NAN);
        self.policy_measured.set(0.0);
    }

    pub(in crate::telemetry) fn no_retention(&self) {
        self.retention_acc.set(f64::NAN);
        self.retention_bwt.set(f64::NAN);
        self.retention_forgetting.reset();
        self.retention_suites.set(0);
    }
}
