//! What became of rows, and what waits.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use perennial_types::{Domain, Kind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schemas;

/// How many rejected rows a report names.
pub(crate) const REJECTIONS_NAMED_MAX: usize = 20;

/// What became of the rows of a file or a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct IntakeReport {
    /// Rows stored.
    pub(crate) accepted: u64,
    /// Rows that were stored before.
    pub(crate) duplicates: u64,
    /// Rows that were refused; they are in quarantine.
    pub(crate) rejected: u64,
    /// Of those, how many quarantine had no room for (`ingest.quarantine_source_bytes_max`, `ingest.quarantine_bytes_max`).
    #[serde(default)]
    pub(crate) unkept: u64,
    /// Of the accepted rows, those held out of training.
    pub(crate) held_out: u64,
    /// Accepted rows per domain.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub(crate) domains: BTreeMap<Domain, u64>,
    /// Of the accepted rows, those that no stage of training learns from, by kind.
    #[serde(default)]
    pub(crate) untrained: Vec<Untrained>,
    /// The first [`REJECTIONS_NAMED_MAX`] rejected rows.
    pub(crate) rejections: Vec<Rejection>,
    /// The quarantine file, where a row was rejected.
    #[schema(value_type = Option<String>)]
    pub(crate) quarantine: Option<PathBuf>,
}

impl IntakeReport {
    /// Whether there were rows and every one of them was refused. A row that was stored before counts as taken.
    pub(crate) fn took_nothing(&self) -> bool {
        self.rejected > 0 && self.accepted + self.duplicates == 0
    }
}

/// Samples of one kind that no stage of training learns from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Untrained {
    /// Their kind.
    #[schema(value_type = schemas::Kind)]
    pub(crate) kind: Kind,
    /// How many; those that are held out do not count.
    pub(crate) samples: u64,
    /// What in the configuration trains on them.
    pub(crate) key: String,
}

impl fmt::Display for Untrained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, samples, key } = self;
        write!(f, "{samples} {} samples that no stage of training learns from: `{key}` would", kind.as_str())
    }
}

/// A refused row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Rejection {
    /// The line, counted from 1.
    pub(crate) line: u64,
    /// What is wrong with it and how to mend it.
    pub(crate) reason: String,
}

/// What became of a quarantine file's rows that were taken in again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RequeueReport {
    /// Rows stored.
    pub(crate) accepted: u64,
    /// Rows that were stored before.
    pub(crate) duplicates: u64,
    /// Rows that are refused still.
    pub(crate) rejected: u64,
    /// Lines that hold no whole row: the source must be sent again.
    pub(crate) not_whole: u64,
}

/// Samples that wait for a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Waiting {
    /// How many training samples (held-out ones do not count).
    pub(crate) samples: u64,
    /// Of these, those that begin no cycle by themselves: a candidate learned them, the gate refused it, and under the
    /// configuration of now another try would be the same. They go along with the others.
    #[serde(default)]
    pub(crate) refused: u64,
    /// When the oldest came in that may begin one, in milliseconds since the Unix epoch.
    pub(crate) oldest_ms: Option<i64>,
}

impl Waiting {
    /// How many may begin a cycle.
    pub(crate) fn may_begin(&self) -> u64 {
        self.samples.saturating_sub(self.refused)
    }
}
