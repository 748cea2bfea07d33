//! Every metric that the daemon exports, and how each begins.

mod cycle;
mod drift;
mod ingest;
mod publish;
mod reference;
mod registry;
mod service;
mod train;

use prometheus::{
    Encoder, IntCounterVec, IntGaugeVec, Opts, Result, TextEncoder,
    core::{Collector, GenericCounterVec},
    process_collector::ProcessCollector,
};

pub(crate) use self::train::RewardMetrics;
use self::{
    cycle::{CycleMetrics, GateMetrics},
    drift::DriftMetrics,
    ingest::{BufferMetrics, HttpMetrics, IngestMetrics},
    publish::PublishMetrics,
    registry::Registry,
    service::ServiceMetrics,
    train::{GrpoMetrics, TrainMetrics},
};

/// Every metric that the daemon exports, by component.
pub(crate) struct Metrics {
    registry: Registry,
    /// The process, and the disk that it writes to.
    pub(crate) service: ServiceMetrics,
    /// The doors.
    pub(crate) http: HttpMetrics,
    /// Rows and files in.
    pub(crate) ingest: IngestMetrics,
    /// The replay buffer.
    pub(crate) buffer: BufferMetrics,
    /// Cycles and their phases.
    pub(crate) cycle: CycleMetrics,
    /// The trainer.
    pub(crate) train: TrainMetrics,
    /// Learning from rewards.
    pub(crate) grpo: GrpoMetrics,
    /// The reward plugins.
    pub(crate) reward: RewardMetrics,
    /// The gate and the champion.
    pub(crate) gate: GateMetrics,
    /// The targets of publishing.
    pub(crate) publish: PublishMetrics,
    /// What moved in what comes in, and in the champion.
    pub(crate) drift: DriftMetrics,
}

impl Metrics {
    /// All metrics, each label set that is known beforehand at zero, in a registry of their own.
    pub(crate) fn new() -> Result<Self> {
        let registry = Registry::default();
        register(&registry, build_info()?)?;
        registry.add(ProcessCollector::for_self())?;
        Ok(Self {
            service: ServiceMetrics::new(&registry)?,
            http: HttpMetrics::new(&registry)?,
            ingest: IngestMetrics::new(&registry)?,
            buffer: BufferMetrics::new(&registry)?,
            cycle: CycleMetrics::new(&registry)?,
            train: TrainMetrics::new(&registry)?,
            grpo: GrpoMetrics::new(&registry)?,
            reward: RewardMetrics::new(&registry)?,
            gate: GateMetrics::new(&registry)?,
            publish: PublishMetrics::new(&registry)?,
            drift: DriftMetrics::new(&registry)?,
            registry,
        })
    }

    /// The metrics in Prometheus's text format.
    pub(crate) fn render(&self) -> Result<String> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// All of them with their types, labels, units and meanings, as Markdown: METRICS.md.
    pub(crate) fn reference(&self) -> String {
        reference::markdown(self.registry.known())
    }
}

fn build_info() -> Result<IntGaugeVec> {
    let opts = Opts::new("perennial_build_info", "Always 1; its labels tell the version.");
    let info = IntGaugeVec::new(opts, &["version"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(info)
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntCounterVec> {
    register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
}

fn zero<P: prometheus::core::Atomic>(counters: &GenericCounterVec<P>, values: &[&str]) {
    for value in values {
        counters.with_label_values(&[value]);
    }
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C> {
    registry.add(collector.clone())?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_the_prefix_and_a_base_unit() {
        let text = Metrics::new().unwrap().render().unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(names.len() > 10, "{names:?}");
        for name in names {
            assert!(name.starts_with("perennial_") || name.starts_with("process_"), "{name}");
            let (name, kind) = name.split_once(' ').unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(!name.contains("_ms"), "{name}");
        }
    }

    #[test]
    fn known_label_sets_start_at_zero() {
        let text = Metrics::new().unwrap().render().unwrap();
        for line in [
            r#"perennial_ingest_rows_total{outcome="rejected"} 0"#,
            r#"perennial_ingest_files_total{outcome="quarantined"} 0"#,
            r#"perennial_cycle_phase{phase="train"} 0"#,
            r#"perennial_cycle_phase_duration_seconds_count{phase="evaluate"} 0"#,
            r#"perennial_gate_decisions_total{decision="promote"} 0"#,
            r#"perennial_cycle_runs_total{outcome="failed"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing");
        }
    }
}
