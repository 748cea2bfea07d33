use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, FixedSizeListArray, Float32Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use perennial_types::{CycleId, Domain, SampleId};

use crate::columns::{self, ColumnError, Columns};

/// What the replay buffer knows of a sample, without its embedding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRow {
    /// Of the sample, as the registry has it.
    pub id: SampleId,
    /// The stratum that it is drawn in.
    pub domain: Domain,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub arrived_ms: i64,
    /// The path of the segment that holds it, from the state directory.
    pub segment: String,
    /// In how many cycles it was drawn from the buffer.
    pub times_replayed: u32,
    /// The last of those cycles.
    pub last_replayed_cycle: Option<CycleId>,
    /// The cycle that first trained on it, when it was new.
    pub trained_cycle: Option<CycleId>,
    /// The tokens of its text; `None` in rows of an older program, which did not count them.
    pub tokens: Option<u32>,
}

impl ReplayRow {
    /// A sample that was never trained on.
    pub fn new(id: SampleId, domain: Domain, arrived_ms: i64, segment: impl Into<String>) -> Self {
        Self {
            id,
            domain,
            arrived_ms,
            segment: segment.into(),
            times_replayed: 0,
            last_replayed_cycle: None,
            trained_cycle: None,
            tokens: None,
        }
    }
}

/// A row of the buffer with its embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayEntry {
    /// What is known of the sample.
    pub row: ReplayRow,
    /// Where it lies among the others; as long as the buffer's dimension.
    pub embedding: Vec<f32>,
}

/// Every column but the embedding, [`TOKENS`] last.
pub(super) const ROW_COLUMNS: [&str; 8] =
    ["arrived_ms", "domain", "id", "last_replayed_cycle", "segment", "times_replayed", "trained_cycle", TOKENS];

/// The column that tables of an older program lack.
pub(super) const TOKENS: &str = "tokens";

/// The columns that change as cycles go by.
pub(super) fn history(rows: &[ReplayRow]) -> Columns {
    let cycle = |of: fn(&ReplayRow) -> Option<CycleId>| {
        let cycles = UInt64Array::from_iter(rows.iter().map(|row| of(row).map(|cycle| cycle.0)));
        (Arc::new(cycles) as Arc<dyn Array>, true)
    };
    let times = UInt32Array::from_iter_values(rows.iter().map(|row| row.times_replayed));
    BTreeMap::from([
        ("id", columns::required(StringArray::from_iter_values(rows.iter().map(|row| row.id.to_string())))),
        ("last_replayed_cycle", cycle(|row| row.last_replayed_cycle)),
        ("times_replayed", columns::required(times)),
        ("trained_cycle", cycle(|row| row.trained_cycle)),
    ])
}

/// All columns. Every embedding must be `dim` long.
pub(super) fn entries(entries: &[ReplayEntry], dim: usize) -> Result<RecordBatch, ColumnError> {
    let rows: Vec<ReplayRow> = entries.iter().map(|entry| entry.row.clone()).collect();
    let values = Float32Array::from_iter_values(entries.iter().flat_map(|entry| entry.embedding.iter().copied()));
    let embedding = FixedSizeListArray::try_new(item(), list_len(dim), Arc::new(values), None)?;
    let mut columns = history(&rows);
    columns.extend([
        ("arrived_ms", columns::required(Int64Array::from_iter_values(rows.iter().map(|row| row.arrived_ms)))),
        ("domain", columns::required(StringArray::from_iter_values(rows.iter().map(|row| row.domain.as_str())))),
        ("embedding", columns::required(embedding)),
        ("segment", columns::required(StringArray::from_iter_values(rows.iter().map(|row| row.segment.as_str())))),
        (TOKENS, (Arc::new(UInt32Array::from_iter(rows.iter().map(|row| row.tokens))), true)),
    ]);
    columns::batch(columns)
}

/// The table's schema, which [`entries`] fills.
pub(super) fn schema(dim: usize) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("arrived_ms", DataType::Int64, false),
        Field::new("domain", DataType::Utf8, false),
        Field::new("embedding", DataType::FixedSizeList(item(), list_len(dim)), false),
        Field::new("id", DataType::Utf8, false),
        Field::new("last_replayed_cycle", DataType::UInt64, true),
        Field::new("segment", DataType::Utf8, false),
        Field::new("times_replayed", DataType::UInt32, false),
        tokens_field(),
        Field::new("trained_cycle", DataType::UInt64, true),
    ]))
}

/// The column that tables of an older program lack.
pub(super) fn tokens_field() -> Field {
    Field::new(TOKENS, DataType::UInt32, true)
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float32, true))
}

fn list_len(dim: usize) -> i32 {
    i32::try_from(dim).unwrap_or(i32::MAX)
}

/// The rows of a batch that has [`ROW_COLUMNS`], or all of them but [`TOKENS`].
pub(super) fn decode(batch: &RecordBatch) -> Result<Vec<ReplayRow>, ColumnError> {
    let ids: &StringArray = columns::column(batch, "id")?;
    let domains: &StringArray = columns::column(batch, "domain")?;
    let arrived: &Int64Array = columns::column(batch, "arrived_ms")?;
    let segments: &StringArray = columns::column(batch, "segment")?;
    let times: &UInt32Array = columns::column(batch, "times_replayed")?;
    let replayed: &UInt64Array = columns::column(batch, "last_replayed_cycle")?;
    let trained: &UInt64Array = columns::column(batch, "trained_cycle")?;
    let tokens: Option<&UInt32Array> =
        batch.column_by_name(TOKENS).map(|_| columns::column(batch, TOKENS)).transpose()?;
    let cycle = |cycles: &UInt64Array, row| cycles.is_valid(row).then(|| CycleId(cycles.value(row)));
    (0..batch.num_rows())
        .map(|row| {
            let domain = Domain::new(domains.value(row)).map_err(|error| ColumnError::Value {
                row,
                column: "domain",
                problem: error.to_string(),
            })?;
            Ok(ReplayRow {
                id: columns::sample_id(ids, row)?,
                domain,
                arrived_ms: arrived.value(row),
                segment: segments.value(row).to_owned(),
                times_replayed: times.value(row),
                last_replayed_cycle: cycle(replayed, row),
                trained_cycle: cycle(trained, row),
                tokens: tokens.filter(|tokens| tokens.is_valid(row)).map(|tokens| tokens.value(row)),
            })
        })
        .collect()
}

/// The ids of a batch with their embeddings.
pub(super) fn vectors(batch: &RecordBatch) -> Result<Vec<(SampleId, Vec<f32>)>, ColumnError> {
    let ids: &StringArray = columns::column(batch, "id")?;
    let lists: &FixedSizeListArray = columns::column(batch, "embedding")?;
    (0..batch.num_rows())
        .map(|row| {
            let list = lists.value(row);
            let values: Option<&Float32Array> = list.as_any().downcast_ref();
            let values = values.ok_or(ColumnError::Column("embedding"))?;
            Ok((columns::sample_id(ids, row)?, values.values().to_vec()))
        })
        .collect()
}

/// The filter for these ids. They are hexadecimal digits, so there is nothing to escape.
pub(super) fn has_id(ids: &[SampleId]) -> String {
    let quoted: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
    format!("id IN ({})", quoted.join(","))
}
