//! Samples as Arrow columns and back: what segments and mixes have in common.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use perennial_types::{Domain, Fingerprint, Sample, SampleId};
use serde_json::Map;

/// A Parquet file that does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum ColumnError {
    /// A column is absent or of another type.
    #[error("the column `{0}` is missing or of another type than this version writes")]
    Column(&'static str),
    /// A value cannot be read.
    #[error("row {row}, column `{column}`: {problem}")]
    Value {
        /// The row in its batch, the first being 0.
        row: usize,
        /// As the file's schema names it.
        column: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Arrow refuses the columns.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// Columns by name; a `BTreeMap`, so that every file has them in the same, sorted order.
pub(crate) type Columns = BTreeMap<&'static str, (ArrayRef, bool)>;

/// The columns of these samples. Bodies and metadata are JSON.
pub(crate) fn sample_columns<'a>(samples: impl Iterator<Item = &'a Sample> + Clone) -> Result<Columns, ColumnError> {
    let text = |value: fn(&Sample) -> String| required(StringArray::from_iter_values(samples.clone().map(value)));
    let optional = |value: fn(&Sample) -> Option<&str>| {
        (Arc::new(StringArray::from_iter(samples.clone().map(value))) as ArrayRef, true)
    };
    let bodies = json_column(samples.clone(), "body", |sample| serde_json::to_string(&sample.body))?;
    let metadata = json_column(samples.clone(), "metadata", |sample| serde_json::to_string(&sample.metadata))?;
    Ok(BTreeMap::from([
        ("arrived_ms", required(Int64Array::from_iter_values(samples.clone().map(|sample| sample.arrived_ms)))),
        ("body", required(bodies)),
        ("domain", text(|sample| sample.domain.to_string())),
        ("external_id", optional(|sample| sample.external_id.as_deref())),
        ("id", text(|sample| sample.id.to_string())),
        ("kind", text(|sample| sample.body.kind().as_str().to_owned())),
        ("metadata", required(metadata)),
        ("reference", optional(|sample| sample.reference.as_deref())),
        ("source", text(|sample| sample.source.clone())),
        ("subject", optional(|sample| sample.subject.as_deref())),
    ]))
}

/// A column without nulls.
pub(crate) fn required(array: impl Array + 'static) -> (ArrayRef, bool) {
    (Arc::new(array), false)
}

/// One batch of these columns.
pub(crate) fn batch(columns: Columns) -> Result<RecordBatch, ColumnError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, (array, nullable))| Field::new(*name, array.data_type().clone(), *nullable))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, columns.into_values().map(|(array, _)| array).collect())?)
}

fn json_column<'a>(
    samples: impl Iterator<Item = &'a Sample>,
    column: &'static str,
    json: fn(&Sample) -> serde_json::Result<String>,
) -> Result<StringArray, ColumnError> {
    let values: Result<Vec<String>, ColumnError> = samples
        .enumerate()
        .map(|(row, sample)| {
            json(sample).map_err(|error| ColumnError::Value { row, column, problem: error.to_string() })
        })
        .collect();
    Ok(StringArray::from_iter_values(values?))
}

/// A column of a batch, as the array it must be.
pub(crate) fn column<'a, A: Array + 'static>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a A, ColumnError> {
    batch.column_by_name(name).and_then(|array| array.as_any().downcast_ref()).ok_or(ColumnError::Column(name))
}

/// The columns of a batch that samples are read from.
pub(crate) struct SampleColumns<'a> {
    arrived_ms: &'a Int64Array,
    body: &'a StringArray,
    domain: &'a StringArray,
    external_id: &'a StringArray,
    id: &'a StringArray,
    metadata: &'a StringArray,
    reference: &'a StringArray,
    source: &'a StringArray,
    subject: &'a StringArray,
}

impl<'a> SampleColumns<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        Ok(Self {
            arrived_ms: column(batch, "arrived_ms")?,
            body: column(batch, "body")?,
            domain: column(batch, "domain")?,
            external_id: column(batch, "external_id")?,
            id: column(batch, "id")?,
            metadata: column(batch, "metadata")?,
            reference: column(batch, "reference")?,
            source: column(batch, "source")?,
            subject: column(batch, "subject")?,
        })
    }

    /// The sample in this row, which must be within the batch.
    pub(crate) fn sample(&self, row: usize) -> Result<Sample, ColumnError> {
        let bad = |column, problem: String| ColumnError::Value { row, column, problem };
        let optional = |array: &StringArray| array.is_valid(row).then(|| array.value(row).to_owned());
        let id: SampleId = sample_id(self.id, row)?;
        let domain = Domain::new(self.domain.value(row)).map_err(|error| bad("domain", error.to_string()))?;
        let body = serde_json::from_str(self.body.value(row)).map_err(|error| bad("body", error.to_string()))?;
        let metadata: Map<_, _> =
            serde_json::from_str(self.metadata.value(row)).map_err(|error| bad("metadata", error.to_string()))?;
        Ok(Sample {
            id,
            domain,
            body,
            reference: optional(self.reference),
            external_id: optional(self.external_id),
            subject: optional(self.subject),
            metadata,
            source: self.source.value(row).to_owned(),
            arrived_ms: self.arrived_ms.value(row),
        })
    }
}

/// The sample id in this row of an `id` column.
pub(crate) fn sample_id(ids: &StringArray, row: usize) -> Result<SampleId, ColumnError> {
    let bad =
        |error: perennial_types::FingerprintError| ColumnError::Value { row, column: "id", problem: error.to_string() };
    ids.value(row).parse::<Fingerprint>().map(SampleId).map_err(bad)
}

/// Whether a field is a fixed-size list of 32-bit floats, and how long.
pub(crate) fn vector_len(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::FixedSizeList(item, len) if item.data_type() == &DataType::Float32 => usize::try_from(*len).ok(),
        _ => None,
    }
}
