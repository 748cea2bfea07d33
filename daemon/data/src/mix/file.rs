use std::{collections::BTreeMap, fs, path::Path};

use arrow::array::{Array, RecordBatch, StringArray};
use perennial_durable as durable;
use perennial_types::{Fingerprinter, Sample, SampleId};
use serde_json::{Map, Value};

use super::{Apart, Manifest, MixError, MixPlan, MixRow, Origin, assert_nothing_held_out};
use crate::{
    columns::{self, ColumnError, SampleColumns},
    parquet_file::{self, ParquetFileError},
};

/// The rows of a mix, in a cycle's folder.
pub const MIX_FILE: &str = "mix.parquet";

/// What is said of them, beside it.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What the fingerprint of a mix is made of, row by row.
const FINGERPRINTED_COLUMNS: [&str; 6] = ["id", "origin", "domain", "body", "reference", "metadata"];

/// Freezes a planned mix into a cycle's folder: `mix.parquet`, then `manifest.json`, each whole or absent after a crash.
/// `samples` must hold every sample of the plan. `extra` joins the manifest. The same inputs give the same bytes.
///
/// # Errors
/// Where a sample is to be kept apart, is missing or there more often than it may be, where `extra` has a field of the manifest's
/// own, or where the system refuses. Nothing is written but in the last case.
pub fn freeze(
    folder: &Path,
    plan: &MixPlan,
    samples: &BTreeMap<SampleId, Sample>,
    apart: &Apart,
    extra: Map<String, Value>,
) -> Result<Manifest, MixError> {
    assert_nothing_held_out(plan.order.iter().filter_map(|(id, _)| samples.get(id)), apart)?;
    let mut seen: BTreeMap<SampleId, (Origin, usize)> = BTreeMap::new();
    let mut rows = Vec::with_capacity(plan.order.len());
    for (id, origin) in &plan.order {
        let (first, times) = seen.entry(*id).or_insert((*origin, 0));
        *times += 1;
        let times_max = if *origin == Origin::Replay { plan.repeats_max } else { 1 };
        if *first != *origin || *times > times_max {
            return Err(MixError::Twice(*id));
        }
        let sample = samples.get(id).ok_or(MixError::Missing(*id))?.clone();
        rows.push(MixRow { sample, origin: *origin });
    }
    let mut columns = columns::sample_columns(rows.iter().map(|row| &row.sample)).map_err(ParquetFileError::from)?;
    let origins = StringArray::from_iter_values(rows.iter().map(|row| row.origin.as_str()));
    columns.insert("origin", columns::required(origins));
    let batch = columns::batch(columns.clone()).map_err(ParquetFileError::from)?;
    let mut fingerprinter = Fingerprinter::new();
    add_rows(&mut fingerprinter, &batch).map_err(ParquetFileError::from)?;
    let manifest = Manifest::of(plan, &rows, fingerprinter.finish(), extra);
    let json = manifest_json(folder, &manifest)?;
    durable::write_durably(&folder.join(MIX_FILE), &parquet_file::encode(columns)?)?;
    durable::write_durably(&folder.join(MANIFEST_FILE), json.as_bytes())?;
    Ok(manifest)
}

/// Reads a frozen mix, rows in training order, and checks them against the manifest's fingerprint.
///
/// # Errors
/// Where a file is missing, damaged, or not the one that was frozen.
pub fn read_mix(folder: &Path) -> Result<(Manifest, Vec<MixRow>), MixError> {
    let manifest = read_manifest(folder)?;
    let path = folder.join(MIX_FILE);
    let mut fingerprinter = Fingerprinter::new();
    let mut rows = Vec::new();
    for batch in parquet_file::open(&path, None)? {
        let batch = batch.map_err(|error| ParquetFileError::damaged(&path, &error))?;
        let damaged = |error: ColumnError| ParquetFileError::damaged(&path, &error);
        add_rows(&mut fingerprinter, &batch).map_err(damaged)?;
        rows.extend(decode(&batch).map_err(damaged)?);
    }
    let found = fingerprinter.finish();
    if found != manifest.fingerprint {
        let folder = folder.display().to_string();
        return Err(MixError::Fingerprint { folder, found, stated: manifest.fingerprint });
    }
    Ok((manifest, rows))
}

/// Reads what a frozen mix says of itself, without its rows.
///
/// # Errors
/// Where the manifest is missing or damaged.
pub fn read_manifest(folder: &Path) -> Result<Manifest, MixError> {
    let path = folder.join(MANIFEST_FILE);
    let unreadable = |problem: String| MixError::Manifest { path: path.display().to_string(), problem };
    let json = fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_slice(&json).map_err(|error| unreadable(error.to_string()))
}

/// The manifest as it is written, once it is sure that it reads back as it is.
fn manifest_json(folder: &Path, manifest: &Manifest) -> Result<String, MixError> {
    let unreadable = |error: serde_json::Error| MixError::Manifest {
        path: folder.join(MANIFEST_FILE).display().to_string(),
        problem: error.to_string(),
    };
    let own = Manifest { extra: Map::new(), ..manifest.clone() };
    let own = serde_json::to_value(&own).map_err(unreadable)?;
    if let Some(name) = manifest.extra.keys().find(|name| own.get(name.as_str()).is_some()) {
        return Err(MixError::ReservedField(name.clone()));
    }
    let mut json = serde_json::to_string_pretty(manifest).map_err(unreadable)?;
    json.push('\n');
    Ok(json)
}

/// Adds the text of each row, column by column, so that neither batches nor the encoding of the file make a difference.
fn add_rows(fingerprinter: &mut Fingerprinter, batch: &RecordBatch) -> Result<(), ColumnError> {
    let columns = FINGERPRINTED_COLUMNS.map(|name| columns::column::<StringArray>(batch, name));
    let columns = columns.into_iter().collect::<Result<Vec<_>, _>>()?;
    for row in 0..batch.num_rows() {
        for column in &columns {
            // An absent value differs from an empty one.
            fingerprinter.add(&[u8::from(column.is_valid(row))]);
            fingerprinter.add(column.value(row).as_bytes());
        }
    }
    Ok(())
}

fn decode(batch: &RecordBatch) -> Result<Vec<MixRow>, ColumnError> {
    let samples = SampleColumns::of(batch)?;
    let origins: &StringArray = columns::column(batch, "origin")?;
    (0..batch.num_rows())
        .map(|row| {
            let name = origins.value(row);
            let problem = || format!("{name:?} is no origin that this version knows");
            let origin =
                Origin::named(name).ok_or_else(|| ColumnError::Value { row, column: "origin", problem: problem() })?;
            Ok(MixRow { sample: samples.sample(row)?, origin })
        })
        .collect()
}
