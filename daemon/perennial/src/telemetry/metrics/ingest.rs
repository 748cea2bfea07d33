//! What comes in: connections, rows, files and the replay buffer.

use perennial_types::Kind;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Result};

use super::{Registry, counters, register, zero};
use crate::telemetry::labels::FileOutcome;

/// The doors.
pub(crate) struct HttpMetrics {
    pub(crate) connections_full: IntCounter,
}

impl HttpMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let full = "Connections that waited, since all http.connections_max were taken.";
        let full = IntCounter::new("perennial_http_connections_full_total", full)?;
        Ok(Self { connections_full: register(registry, full)? })
    }
}

/// Rows and files in.
pub(crate) struct IngestMetrics {
    pub(crate) rows: IntCounterVec,
    pub(crate) unkept: IntCounter,
    pub(crate) untrained: IntGaugeVec,
    pub(crate) files: IntCounterVec,
    pub(crate) duration: Histogram,
    pub(crate) storage_full: IntGauge,
    pub(crate) set_aside: IntGauge,
    pub(crate) inbox_files: IntGauge,
    pub(crate) inbox_oldest: Gauge,
}

impl IngestMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let rows = counters(registry, "perennial_ingest_rows_total", "Rows by what became of them.", "outcome")?;
        zero(&rows, &["accepted", "duplicate", "rejected"]);
        let files = counters(registry, "perennial_ingest_files_total", "Files by what became of them.", "outcome")?;
        zero(&files, &FileOutcome::ALL.map(FileOutcome::as_str));
        let duration = HistogramOpts::new("perennial_ingest_duration_seconds", "Time to take a file or request in.")
            .buckets(vec![0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0]);
        let unkept = "Refused rows that quarantine had no room for.";
        let full = "Whether the disk was full when rows were last stored.";
        let untrained = Opts::new(
            "perennial_ingest_untrained_samples",
            "Samples that wait and that no stage of training learns from.",
        );
        let untrained = register(registry, IntGaugeVec::new(untrained, &["kind"])?)?;
        for kind in Kind::ALL {
            untrained.with_label_values(&[kind.as_str()]);
        }
        let set_aside = "Files of the inbox that are tried no more.";
        let inbox = "Finished files in the inbox, those that are set aside too, 10000 at most.";
        let oldest = "When the file came into the inbox that lies there longest; 0: none does.";
        Ok(Self {
            rows,
            unkept: register(registry, IntCounter::new("perennial_ingest_unkept_rows_total", unkept)?)?,
            untrained,
            files,
            duration: register(registry, Histogram::with_opts(duration)?)?,
            storage_full: register(registry, IntGauge::new("perennial_ingest_storage_full", full)?)?,
            set_aside: register(registry, IntGauge::new("perennial_ingest_set_aside_files", set_aside)?)?,
            inbox_files: register(registry, IntGauge::new("perennial_ingest_inbox_files", inbox)?)?,
            inbox_oldest: register(registry, Gauge::new("perennial_ingest_inbox_oldest_timestamp_seconds", oldest)?)?,
        })
    }
}

/// The replay buffer.
pub(crate) struct BufferMetrics {
    pub(crate) samples: IntGaugeVec,
    pub(crate) base_answers: IntGaugeVec,
}

impl BufferMetrics {
    pub(super) fn new(registry: &Registry) -> Result<Self> {
        let samples = Opts::new("perennial_buffer_samples", "Training samples in the replay buffer.");
        let base_answers =
            Opts::new("perennial_base_answers", "Prompts of replay.base_answers that the base model was asked.");
        Ok(Self {
            samples: register(registry, IntGaugeVec::new(samples, &["domain"])?)?,
            base_answers: register(registry, IntGaugeVec::new(base_answers, &["outcome"])?)?,
        })
    }
}
