//! Finding and making the buffer's table.

use std::{path::Path, sync::Arc};

use arrow::datatypes::Schema;
use lancedb::{Connection, Session, Table, table::NewColumnTransform};
use perennial_durable as durable;

use super::{ReplayError, error::refused, row};
use crate::columns::{self, ColumnError};

pub(super) const TABLE: &str = "samples";

/// Of each of LanceDB's two caches, which would else grow to gigabytes beside production.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The table in this folder, made for `dim` where there is none, and the length of its embeddings.
pub(super) async fn open_table(folder: &Path, dim: usize) -> Result<(Table, usize), ReplayError> {
    durable::create_folder_durably(folder)?;
    let connection = connect(folder).await?;
    if let Some(table) = find_table(&connection).await? {
        let dim = dim_of(&table).await?;
        return Ok((table, dim));
    }
    let made = connection.create_empty_table(TABLE, row::schema(dim)).execute().await;
    Ok((made.map_err(refused("make"))?, dim))
}

pub(super) async fn connect(folder: &Path) -> Result<Connection, ReplayError> {
    let session = Arc::new(Session::new(CACHE_BYTES_MAX, CACHE_BYTES_MAX, Arc::default()));
    let connection = lancedb::connect(&folder.to_string_lossy()).session(session);
    connection.execute().await.map_err(refused("open"))
}

/// The table, where there is one.
pub(super) async fn find_table(connection: &Connection) -> Result<Option<Table>, ReplayError> {
    match connection.open_table(TABLE).execute().await {
        Ok(table) => Ok(Some(table)),
        // Files without a version are what a crash left of a table in the making.
        Err(lancedb::Error::TableNotFound { .. }) => Ok(None),
        Err(error) => Err(refused("open")(error)),
    }
}

/// Adds the columns that a table of an older program lacks, and says whether it was one. They hold nothing, and nothing is written
/// anew.
pub(super) async fn complete(table: &Table) -> Result<bool, ReplayError> {
    if counts_tokens(table).await? {
        return Ok(false);
    }
    let tokens = NewColumnTransform::AllNulls(Arc::new(Schema::new(vec![row::tokens_field()])));
    table.add_columns().transform(tokens).execute().await.map_err(refused("add a column to"))?;
    Ok(true)
}

/// Whether the table says how many tokens rows have.
pub(super) async fn counts_tokens(table: &Table) -> Result<bool, ReplayError> {
    let schema = table.schema().await.map_err(refused("open"))?;
    Ok(schema.field_with_name(row::TOKENS).is_ok())
}

/// The length of a table's embeddings.
pub(super) async fn dim_of(table: &Table) -> Result<usize, ReplayError> {
    let schema = table.schema().await.map_err(refused("open"))?;
    Ok(embedding_len(&schema)?)
}

fn embedding_len(schema: &Schema) -> Result<usize, ColumnError> {
    let field = schema.field_with_name("embedding").map_err(|_| ColumnError::Column("embedding"))?;
    columns::vector_len(field.data_type()).ok_or(ColumnError::Column("embedding"))
}
