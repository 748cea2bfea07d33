use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
    vec,
};

use arrow::array::{BooleanArray, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use perennial_types::{Fingerprint, SampleId};

use super::{ColumnError, ParquetFileError, SegmentError, Stored};
use crate::{
    columns::{self, SampleColumns},
    parquet_file,
};

/// The samples of a segment, in stored order, decoded a batch at a time. After an error there are no more.
pub struct SegmentReader {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    decoded: vec::IntoIter<Stored>,
    failed: bool,
}

impl SegmentReader {
    /// Opens a segment, to read all of it or the samples with `wanted` ids; the others are passed over without decoding.
    ///
    /// # Errors
    /// Where the file cannot be opened or is no Parquet file.
    pub fn open(path: &Path, wanted: Option<&BTreeSet<SampleId>>) -> Result<Self, SegmentError> {
        let batches = parquet_file::open(path, wanted)?;
        Ok(Self { path: path.to_owned(), batches, decoded: Vec::new().into_iter(), failed: false })
    }

    fn decode_next(&mut self) -> Option<Result<(), ParquetFileError>> {
        let decoded = match self.batches.next()? {
            Ok(batch) => decode(&batch).map_err(|error| ParquetFileError::damaged(&self.path, &error)),
            Err(error) => Err(ParquetFileError::damaged(&self.path, &error)),
        };
        Some(decoded.map(|stored| self.decoded = stored.into_iter()))
    }
}

impl Iterator for SegmentReader {
    type Item = Result<Stored, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(stored) = self.decoded.next() {
                return Some(Ok(stored));
            }
            if self.failed {
                return None;
            }
            if let Err(error) = self.decode_next()? {
                self.failed = true;
                return Some(Err(error.into()));
            }
        }
    }
}

fn decode(batch: &RecordBatch) -> Result<Vec<Stored>, ColumnError> {
    let samples = SampleColumns::of(batch)?;
    let held_out: &BooleanArray = columns::column(batch, "held_out")?;
    (0..batch.num_rows())
        .map(|row| Ok(Stored { sample: samples.sample(row)?, held_out: held_out.value(row) }))
        .collect()
}

/// The samples of a segment, or those `wanted`, in stored order. An id that the segment does not hold is passed over.
///
/// # Errors
/// Where the file cannot be opened or is damaged.
pub fn read_segment(path: &Path, wanted: Option<&BTreeSet<SampleId>>) -> Result<Vec<Stored>, SegmentError> {
    SegmentReader::open(path, wanted)?.collect()
}

/// Checks that a segment's bytes are those that were catalogued.
///
/// # Errors
/// Where the file cannot be read, or is another one.
pub fn verify_segment(path: &Path, fingerprint: &Fingerprint) -> Result<(), SegmentError> {
    let read = |source| ParquetFileError::Read { path: path.to_owned(), source };
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut File::open(path).map_err(read)?, &mut hasher).map_err(read)?;
    let found = Fingerprint::from_bytes(*hasher.finalize().as_bytes());
    if found != *fingerprint {
        let problem = format!("its fingerprint is {found}, it was catalogued as {fingerprint}");
        return Err(ParquetFileError::damaged(path, &problem).into());
    }
    Ok(())
}
