//! Segments: immutable Parquet files that samples are stored in, named by their content.
//!
//! A segment is written, synced and only then catalogued by the caller; a file that is in no catalogue was never
//! acknowledged, and [`sweep_orphans`] removes it at the next start.

mod read;
mod sweep;
#[cfg(test)]
mod tests;
mod write;

use perennial_durable::DurableError;
use perennial_types::{Fingerprint, Sample};

pub use self::{
    read::{SegmentReader, read_segment, verify_segment},
    sweep::sweep_orphans,
    write::write_segment,
};
pub use crate::{columns::ColumnError, parquet_file::ParquetFileError};

/// The folder of all segments, in the state directory.
pub const SEGMENTS_FOLDER: &str = "segments";

/// A sample as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// As it came, with the id that the catalogue has.
    pub sample: Sample,
    /// Whether it is held out: it is in its domain's auto suite, and never in a mix.
    pub held_out: bool,
}

/// What the catalogue needs to know of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Where it lies, from the state directory, with `/` between the parts: `segments/2026-11-21/<hash>.parquet`.
    pub path: String,
    /// How many samples it holds.
    pub rows: u64,
    /// How many of them are held out.
    pub held_out: u64,
    /// The size of the file.
    pub bytes: u64,
    /// Of the file's bytes, what `b3sum` prints.
    pub fingerprint: Fingerprint,
}

/// A segment that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// Nothing to write.
    #[error("a segment needs at least one sample")]
    Empty,
    /// The system refuses.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The file cannot be made, read or understood.
    #[error(transparent)]
    File(#[from] ParquetFileError),
}
