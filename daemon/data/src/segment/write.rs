use std::path::Path;

use arrow::array::BooleanArray;
use perennial_durable as durable;
use perennial_types::Fingerprint;

use super::{ParquetFileError, SEGMENTS_FOLDER, SegmentError, SegmentFile, Stored};
use crate::{calendar, columns, parquet_file};

/// Enough of the hash that no two segments of a state directory meet in one name.
const NAME_DIGITS: usize = 32;

/// Writes samples into a new segment below `root`, the state directory, and returns once it is durable. The folder is the
/// day of the first sample's arrival (UTC); the name comes from the bytes, so that writing the same samples again gives
/// the same file.
///
/// # Errors
/// Where there are no samples, or the system refuses.
pub fn write_segment(root: &Path, stored: &[Stored]) -> Result<SegmentFile, SegmentError> {
    let first = stored.first().ok_or(SegmentError::Empty)?;
    let samples = stored.iter().map(|stored| &stored.sample);
    let mut columns = columns::sample_columns(samples).map_err(ParquetFileError::from)?;
    let held_out = BooleanArray::from_iter(stored.iter().map(|stored| Some(stored.held_out)));
    columns.insert("held_out", columns::required(held_out));
    let bytes = parquet_file::encode(columns)?;
    let fingerprint = Fingerprint::of(&bytes);
    let day = calendar::date(first.sample.arrived_ms);
    let path = format!("{SEGMENTS_FOLDER}/{day}/{}.parquet", fingerprint.short(NAME_DIGITS));
    durable::write_durably(&root.join(&path), &bytes)?;
    Ok(SegmentFile {
        path,
        rows: stored.len() as u64,
        held_out: stored.iter().filter(|stored| stored.held_out).count() as u64,
        bytes: bytes.len() as u64,
        fingerprint,
    })
}
