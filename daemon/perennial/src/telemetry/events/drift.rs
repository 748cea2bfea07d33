//! Whether what comes in has moved, and how far the champion has.

use std::collections::BTreeMap;

use prometheus::{core::Collector, proto::Metric};
use tracing::{info, warn};

use super::whole;
use crate::{
    answers::{Drift, DriftScore, PolicyDrift, Retention},
    telemetry::{Event, Telemetry},
};

/// How many suites have metric labels of their own.
const SUITES_LABELLED_MAX: usize = 128;

/// Every detector was asked.
pub(crate) struct DriftMeasured<'a>(pub(crate) &'a Drift);

impl Event for DriftMeasured<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Drift { measured_ms, reference_samples, current_samples, scores, policy, retention, .. } = self.0;
        let metrics = &telemetry.metrics().drift;
        metrics.measured.set(measured_ms.unwrap_or(0) as f64 / 1000.0);
        for (window, samples) in [("reference", reference_samples), ("current", current_samples)] {
            metrics.samples.with_label_values(&[window]).set(whole(*samples));
        }
        let before = exported(telemetry);
        for (detector, domain, _) in &before {
            // Domains that are gone say nothing any more. Those that stay must not be missing in a scrape.
            if !scores.iter().any(|known| known.detector == *detector && self::domain(known) == domain) {
                metrics.forget(detector, domain);
            }
        }
        for known in scores {
            tell(known, &before);
            let labels = [known.detector.as_str(), domain(known)];
            metrics.score.with_label_values(&labels).set(known.score.unwrap_or(f64::NAN));
            metrics.threshold.with_label_values(&labels).set(known.threshold.unwrap_or(f64::NAN));
            metrics.drifted.with_label_values(&labels).set(i64::from(known.drifted));
        }
        match policy {
            None => metrics.no_policy(),
            Some(policy) => export_policy(policy, telemetry),
        }
        match retention {
            None => metrics.no_retention(),
            Some(retention) => export_retention(retention, telemetry),
        }
    }
}

fn domain(score: &DriftScore) -> &str {
    score.domain.as_ref().map_or("", |domain| domain.as_str())
}

/// Detectors and domains that are exported, and whether they were beyond their thresholds.
fn exported(telemetry: &Telemetry) -> Vec<(String, String, bool)> {
    let families = telemetry.metrics().drift.drifted.collect();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    let of =
        |metric: &Metric| (label(metric, "detector"), label(metric, "domain"), metric.get_gauge().get_value() > 0.0);
    metrics.map(of).collect()
}

fn label(metric: &Metric, name: &str) -> String {
    let of = metric.get_label().iter().find(|label| label.name() == name);
    of.map_or_else(String::new, |label| label.value().to_owned())
}

/// Says once that something drifted, and once that it no longer does.
fn tell(known: &DriftScore, before: &[(String, String, bool)]) {
    let DriftScore { detector, score, threshold, drifted, .. } = known;
    let domain = domain(known);
    let was = before.iter().any(|(other, of, was)| other == detector && of == domain && *was);
    match (was, drifted) {
        (false, true) => {
            warn!(detector, domain, score, threshold, "what comes in has drifted from what the champion learned")
        }
        (true, false) => info!(detector, domain, score, threshold, "drift is gone"),
        _ => {}
    }
}

fn export_policy(policy: &PolicyDrift, telemetry: &Telemetry) {
    let metrics = &telemetry.metrics().drift;
    for (from, kl) in [("base", policy.kl_base), ("previous", policy.kl_previous)] {
        metrics.policy_kl.with_label_values(&[from]).set(kl);
    }
    for (n, distinct) in ["1", "2", "3"].iter().zip(policy.distinct) {
        metrics.policy_distinct.with_label_values(&[n]).set(distinct);
    }
    metrics.policy_entropy.set(policy.entropy);
    metrics.policy_measured.set(policy.measured_ms as f64 / 1000.0);
}

fn export_retention(retention: &Retention, telemetry: &Telemetry) {
    let metrics = &telemetry.metrics().drift;
    metrics.retention_acc.set(retention.acc);
    metrics.retention_bwt.set(retention.bwt);
    metrics.retention_suites.set(whole(retention.suites.len() as u64));
    let known = retention.suites.iter().filter_map(|suite| Some((suite.suite.as_str(), suite.forgetting?)));
    let known: BTreeMap<&str, f64> = known.take(SUITES_LABELLED_MAX).collect();
    for family in metrics.retention_forgetting.collect() {
        let suites = family.get_metric().iter().map(|metric| label(metric, "suite"));
        // One that was never there is as good as gone.
        suites.filter(|suite| !known.contains_key(suite.as_str())).for_each(|suite| {
            let _ = metrics.retention_forgetting.remove_label_values(&[&suite]);
        });
    }
    for (suite, forgetting) in known {
        metrics.retention_forgetting.with_label_values(&[suite]).set(forgetting);
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Domain;

    use super::{super::testing::*, *};
    use crate::answers::SuiteRetention;

    fn score(domain: Option<&str>, score: Option<f64>) -> DriftScore {
        DriftScore {
            detector: "mix".to_owned(),
            meaning: String::new(),
            domain: domain.map(|domain| Domain::new(domain).unwrap()),
            score,
            threshold: score.map(|_| 0.2),
            drifted: score.is_some_and(|score| score > 0.2),
        }
    }

    #[test]
    fn scores_are_exported_with_their_thresholds_and_what_is_gone_leaves_no_labels() {
        let telemetry = telemetry();
        let emit = |scores: &[DriftScore]| {
            telemetry.emit(DriftMeasured(&Drift { scores: scores.to_vec(), ..Drift::default() }))
        };
        emit(&[score(None, Some(0.25)), score(Some("a"), Some(0.1)), score(Some("b"), None)]);
        for line in [
            r#"perennial_drift_score{detector="mix",domain=""} 0.25"#,
            r#"perennial_drift_threshold{detector="mix",domain=""} 0.2"#,
            r#"perennial_drift_drifted{detector="mix",domain=""} 1"#,
            r#"perennial_drift_drifted{detector="mix",domain="a"} 0"#,
            r#"perennial_drift_score{detector="mix",domain="b"} NaN"#,
        ] {
            assert!(exports(&telemetry, line), "{line}");
        }
        assert!(exported(&telemetry).contains(&("mix".to_owned(), String::new(), true)));
        emit(&[score(None, None)]);
        let text = telemetry.metrics().render().unwrap();
        assert!(!text.contains(r#"domain="a""#) && !text.contains(r#"domain="b""#));
        assert!(exports(&telemetry, r#"perennial_drift_drifted{detector="mix",domain=""} 0"#));
    }

    #[test]
    fn the_champion_s_figures_are_exported_and_those_of_the_one_before_go() {
        let telemetry = telemetry();
        let policy = PolicyDrift {
            adapter: "0123456789ab".parse().unwrap(),
            measured_ms: 2_000,
            kl_base: 0.5,
            previous: None,
            kl_previous: 0.25,
            entropy: 1.5,
            distinct: [0.5, 0.75, 1.0],
        };
        let suite = |suite: &str, forgetting| SuiteRetention { suite: suite.to_owned(), forgetting, scores: vec![] };
        let retention = Retention { acc: 0.5, bwt: -0.1, suites: vec![suite("a", Some(0.2)), suite("b", None)] };
        telemetry.emit(DriftMeasured(&Drift { policy: Some(policy), retention: Some(retention), ..Drift::default() }));
        for line in [
            r#"perennial_policy_kl_nats{from="base"} 0.5"#,
            r#"perennial_policy_kl_nats{from="previous"} 0.25"#,
            r#"perennial_policy_distinct_ratio{n="2"} 0.75"#,
            "perennial_policy_entropy_nats 1.5",
            "perennial_retention_bwt_ratio -0.1",
            r#"perennial_retention_forgetting_ratio{suite="a"} 0.2"#,
            "perennial_retention_suites 2",
        ] {
            assert!(exports(&telemetry, line), "{line}");
        }
        telemetry.emit(DriftMeasured(&Drift::default()));
        assert!(exports(&telemetry, "perennial_policy_entropy_nats NaN"));
        assert!(!telemetry.metrics().render().unwrap().contains(r#"suite="a""#));
    }
}
