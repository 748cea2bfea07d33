use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use perennial_data::{
    quarantine::QuarantineLimits,
    rows::{EXCERPT_BYTES_MAX, ReadLimits},
};
use perennial_types::Domain;
use serde::{Deserialize, Serialize};

/// `[ingest]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ingest {
    pub(crate) inbox: Option<PathBuf>,
    pub(crate) rescan_seconds: u64,
    pub(crate) settle_seconds: f64,
    pub(crate) attempts_max: u32,
    pub(crate) row_bytes_max: usize,
    pub(crate) turns_max: usize,
    pub(crate) compression_ratio_max: u64,
    pub(crate) quarantine_source_bytes_max: u64,
    pub(crate) quarantine_bytes_max: u64,
    pub(crate) desks: usize,
    pub(crate) taken_bytes_max: u64,
    pub(crate) default_domain: Domain,
    pub(crate) prompt_as_chat: bool,
    pub(crate) held_out_fraction: f64,
    pub(crate) held_out_min: u64,
    pub(crate) file: FileBounds,
    pub(crate) request: RequestBounds,
}

impl Default for Ingest {
    fn default() -> Self {
        Self {
            inbox: None,
            rescan_seconds: 60,
            settle_seconds: 2.0,
            attempts_max: 5,
            row_bytes_max: 1 << 20,
            turns_max: 1024,
            compression_ratio_max: 200,
            quarantine_source_bytes_max: 16 << 20,
            quarantine_bytes_max: 1 << 30,
            desks: 4,
            taken_bytes_max: 10 << 30,
            default_domain: Domain::default(),
            prompt_as_chat: true,
            held_out_fraction: 0.05,
            held_out_min: 8,
            file: FileBounds::default(),
            request: RequestBounds::default(),
        }
    }
}

/// `[ingest.file]`: what a file of the inbox may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FileBounds {
    pub(crate) bytes_max: u64,
    pub(crate) rows_max: u64,
    pub(crate) seconds_max: u64,
}

impl Default for FileBounds {
    fn default() -> Self {
        Self { bytes_max: 64 << 30, rows_max: 100_000_000, seconds_max: 21_600 }
    }
}

/// `[ingest.request]`: what the rows of one request may cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RequestBounds {
    pub(crate) bytes_max: u64,
    pub(crate) rows_max: u64,
    pub(crate) seconds_max: u64,
}

impl Default for RequestBounds {
    fn default() -> Self {
        Self { bytes_max: 512 << 20, rows_max: 1_000_000, seconds_max: 60 }
    }
}

impl Ingest {
    /// The limits of reading a file.
    pub(crate) fn file_limits(&self, stop: Arc<AtomicBool>) -> ReadLimits {
        let FileBounds { bytes_max, rows_max, seconds_max } = self.file;
        self.limits(bytes_max, rows_max, seconds_max, "ingest.file", stop)
    }

    /// The limits of reading a request.
    pub(crate) fn request_limits(&self, stop: Arc<AtomicBool>) -> ReadLimits {
        let RequestBounds { bytes_max, rows_max, seconds_max } = self.request;
        self.limits(bytes_max, rows_max, seconds_max, "ingest.request", stop)
    }

    fn limits(
        &self,
        bytes_max: u64,
        rows_max: u64,
        seconds_max: u64,
        section: &'static str,
        stop: Arc<AtomicBool>,
    ) -> ReadLimits {
        ReadLimits {
            row_bytes_max: self.row_bytes_max,
            excerpt_bytes_max: EXCERPT_BYTES_MAX,
            turns_max: self.turns_max,
            bytes_max,
            rows_max,
            compression_ratio_max: self.compression_ratio_max,
            time_max: Duration::from_secs(seconds_max),
            section,
            stop,
        }
    }

    /// What quarantine may take.
    pub(crate) fn quarantine_limits(&self) -> QuarantineLimits {
        QuarantineLimits {
            source_bytes_max: self.quarantine_source_bytes_max,
            folder_bytes_max: self.quarantine_bytes_max,
        }
    }
}
