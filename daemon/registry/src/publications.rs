use perennial_types::{AdapterId, Publication};
use rusqlite::{OptionalExtension, Row, params};

use crate::{Registry, RegistryError, column};

impl Registry {
    /// What is known of a target of publishing; `None` where it was never looked at.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn publication(&self, target: &str) -> Result<Option<Publication>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT * FROM publications WHERE target = ?1")?;
        Ok(statement.query_row([target], publication).optional()?)
    }

    /// Keeps what is known of a target now.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn record_publication(&self, publication: &Publication) -> Result<(), RegistryError> {
        let Publication {
            target,
            place,
            wished,
            wished_adapter,
            served,
            served_adapter,
            since_ms,
            attempts,
            next_ms,
            error,
        } = publication;
        let (wished_adapter, served_adapter) = (name(wished_adapter.as_ref()), name(served_adapter.as_ref()));
        self.write(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO publications (target, place, wished, wished_adapter, served, served_adapter,
                     since_ms, attempts, next_ms, error)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    target,
                    place.to_string(),
                    wished,
                    wished_adapter,
                    served,
                    served_adapter,
                    since_ms,
                    attempts,
                    next_ms,
                    error
                ],
            )?;
            Ok(())
        })
    }
}

fn name(adapter: Option<&AdapterId>) -> Option<&str> {
    adapter.map(AdapterId::as_str)
}

fn publication(row: &Row<'_>) -> rusqlite::Result<Publication> {
    Ok(Publication {
        target: row.get("target")?,
        place: column::parsed(row, "place")?,
        wished: row.get("wished")?,
        wished_adapter: column::parsed_optional(row, "wished_adapter")?,
        served: row.get("served")?,
        served_adapter: column::parsed_optional(row, "served_adapter")?,
        since_ms: row.get("since_ms")?,
        attempts: row.get("attempts")?,
        next_ms: row.get("next_ms")?,
        error: row.get("error")?,
    })
}
