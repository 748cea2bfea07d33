use std::collections::BTreeMap;

use perennial_types::CycleId;
use rusqlite::params;

use crate::{Registry, RegistryError};

impl Registry {
    /// How the items of each suite are scored that was ever made without a configured metric.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn suite_metrics(&self) -> Result<BTreeMap<String, String>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT suite, metric FROM suite_metrics")?;
        let rows = statement.query_map([], |row| Ok((row.get("suite")?, row.get("metric")?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Fixes how the items of a suite are scored, where it was not fixed before.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn fix_suite_metric(&self, suite: &str, metric: &str, cycle: CycleId) -> Result<(), RegistryError> {
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO suite_metrics (suite, metric, cycle) VALUES (?1, ?2, ?3) ON CONFLICT (suite) DO NOTHING",
                params![suite, metric, cycle.0],
            )?;
            Ok(())
        })
    }
}
