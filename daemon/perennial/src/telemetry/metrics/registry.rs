use std::sync::{Mutex, PoisonError};

use prometheus::{
    Result,
    core::Collector,
    proto::{MetricFamily, MetricType},
};

/// A metric as it is declared, whether or not it has a value yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: String,
    /// `counter`, `gauge` or `histogram`.
    pub(super) kind: &'static str,
    /// The names of its labels.
    pub(super) labels: Vec<String>,
    /// What it means.
    pub(super) help: String,
}

/// What is exported. Prometheus's own registry tells of a metric with labels only once it has a value; this one knows all.
#[derive(Default)]
pub(super) struct Registry {
    exported: prometheus::Registry,
    known: Mutex<Vec<Known>>,
}

impl Registry {
    /// Exports what this collects.
    ///
    /// # Errors
    /// Where two metrics have one name.
    pub(super) fn add<C: Collector + 'static>(&self, collector: C) -> Result<()> {
        let families = collector.collect();
        let known = collector.desc().into_iter().map(|desc| Known {
            kind: kind(&families, &desc.fq_name),
            name: desc.fq_name.clone(),
            labels: desc.variable_labels.clone(),
            help: desc.help.clone(),
        });
        self.known.lock().unwrap_or_else(PoisonError::into_inner).extend(known);
        self.exported.register(Box::new(collector))
    }

    /// Every metric with what it says now; those without a value are left out.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.exported.gather()
    }

    /// Every metric, sorted by name.
    pub(super) fn known(&self) -> Vec<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.sort_by(|one, other| one.name.cmp(&other.name));
        known
    }
}

fn kind(families: &[MetricFamily], name: &str) -> &'static str {
    let family = families.iter().find(|family| family.name() == name);
    match family.map(MetricFamily::get_field_type) {
        Some(MetricType::COUNTER) => "counter",
        Some(MetricType::HISTOGRAM) => "histogram",
        Some(MetricType::SUMMARY) => "summary",
        Some(MetricType::GAUGE | MetricType::UNTYPED) => "gauge",
        // The system did not tell its value: the name says what it is.
        None if name.ends_with("_total") => "counter",
        None => "gauge",
    }
}
