//! Columns as the bytes of a Parquet file, and such files as batches of rows.

use std::{
    collections::BTreeSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use arrow::{
    array::{Array, BooleanArray, RecordBatch, StringArray},
    error::ArrowError,
};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowFilter},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
};
use perennial_types::SampleId;

use crate::columns::{self, ColumnError, Columns};

/// A Parquet file that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ParquetFileError {
    /// The samples make no columns.
    #[error("cannot turn samples into columns: {0}")]
    Columns(#[from] ColumnError),
    /// The columns make no file.
    #[error("cannot encode samples as Parquet: {0}")]
    Encode(#[source] ParquetError),
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// A segment, or a cycle's mix.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what was written.
    #[error("{} is damaged: {problem}; restore it from a backup", path.display())]
    Damaged {
        /// A segment, or a cycle's mix.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl ParquetFileError {
    pub(crate) fn damaged(path: &Path, problem: &impl ToString) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.to_string() }
    }
}

/// Rows that share one entry of statistics: a reader that wants few samples passes over whole groups.
const ROW_GROUP_ROWS_MAX: usize = 8192;

/// How many rows are decoded at a time.
const BATCH_ROWS_MAX: usize = 1024;

/// These columns as a file: zstd, statistics per row group, nothing that changes from run to run.
pub(crate) fn encode(columns: Columns) -> Result<Vec<u8>, ParquetFileError> {
    let batch = columns::batch(columns)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .build();
    let mut writer =
        ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).map_err(ParquetFileError::Encode)?;
    writer.write(&batch).map_err(ParquetFileError::Encode)?;
    writer.into_inner().map_err(ParquetFileError::Encode)
}

/// The batches of a file. With `wanted` ids, the rows with others are passed over, and only their `id` is decoded.
pub(crate) fn open(
    path: &Path,
    wanted: Option<&BTreeSet<SampleId>>,
) -> Result<ParquetRecordBatchReader, ParquetFileError> {
    let file = File::open(path).map_err(|source| ParquetFileError::Read { path: path.to_owned(), source })?;
    let damaged = |error: ParquetError| ParquetFileError::damaged(path, &error);
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(damaged)?;
    if let Some(wanted) = wanted {
        let wanted: BTreeSet<String> = wanted.iter().map(SampleId::to_string).collect();
        let only_id = ProjectionMask::columns(builder.parquet_schema(), ["id"]);
        let is_wanted = move |batch: RecordBatch| {
            let ids: &StringArray = columns::column(&batch, "id")
                .map_err(|error: ColumnError| ArrowError::SchemaError(error.to_string()))?;
            Ok(BooleanArray::from_iter((0..ids.len()).map(|row| Some(wanted.contains(ids.value(row))))))
        };
        builder = builder.with_row_filter(RowFilter::new(vec![Box::new(ArrowPredicateFn::new(only_id, is_wanted))]));
    }
    builder.with_batch_size(BATCH_ROWS_MAX).build().map_err(damaged)
}
