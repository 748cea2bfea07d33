use std::{error::Error, str::FromStr};

use perennial_types::{CycleId, Fingerprint, SampleId};
use rusqlite::{
    Row,
    types::{FromSql, FromSqlError, Type, ValueRef},
};
use serde::de::DeserializeOwned;

/// A column of text in the form that `Display` writes.
pub(crate) fn parsed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    row.get::<_, String>(column)?.parse().map_err(conversion)
}

/// As [`parsed`], of a column that may be NULL.
pub(crate) fn parsed_optional<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    row.get::<_, Option<String>>(column)?.map(|text| text.parse().map_err(conversion)).transpose()
}

pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    serde_json::from_str(&row.get::<_, String>(column)?).map_err(conversion)
}

/// A column whose text is the serde name of a plain enum.
pub(crate) fn named<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::String(row.get(column)?)).map_err(conversion)
}

/// A sample's id, stored as its 32 bytes.
pub(crate) fn sample_id(row: &Row<'_>, column: &str) -> rusqlite::Result<SampleId> {
    Ok(SampleId(fingerprint(row, column)?))
}

/// A fingerprint, stored as its 32 bytes.
pub(crate) fn fingerprint(row: &Row<'_>, column: &str) -> rusqlite::Result<Fingerprint> {
    Ok(Fingerprint::from_bytes(row.get(column)?))
}

/// As [`fingerprint`], of a column that may be NULL.
pub(crate) fn fingerprint_optional(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Fingerprint>> {
    Ok(row.get::<_, Option<[u8; 32]>>(column)?.map(Fingerprint::from_bytes))
}

/// A cycle's number.
pub(crate) fn cycle_id(row: &Row<'_>, column: &str) -> rusqlite::Result<CycleId> {
    Ok(CycleId(row.get(column)?))
}

/// A seed: SQLite has signed integers only, so the bits are kept and not the value.
pub(crate) struct Seed(pub(crate) u64);

impl FromSql for Seed {
    fn column_result(value: ValueRef<'_>) -> Result<Self, FromSqlError> {
        i64::column_result(value).map(|bits| Self(bits.cast_unsigned()))
    }
}

impl rusqlite::ToSql for Seed {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(self.0.cast_signed().into())
    }
}

fn conversion(error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}
