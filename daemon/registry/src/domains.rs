use std::collections::BTreeMap;

use perennial_types::{CycleId, Domain};
use rusqlite::{Params, params};

use crate::{Registry, RegistryError, column};

impl Registry {
    /// The samples that a cycle consumed as new ones, by domain.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn domains_of_cycle(&self, cycle: CycleId) -> Result<BTreeMap<Domain, u64>, RegistryError> {
        let sql = "SELECT domain, count(*) AS count FROM samples WHERE cycle = ?1 GROUP BY domain";
        self.count_domains(sql, [cycle.0])
    }

    /// The last training samples to arrive after this time, at most `limit`, by domain, whatever became of them.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn domains_arrived(&self, after_ms: i64, limit: u64) -> Result<BTreeMap<Domain, u64>, RegistryError> {
        let sql = "SELECT domain, count(*) AS count FROM
                (SELECT domain FROM samples WHERE held_out = 0 AND arrived_ms > ?1 ORDER BY arrived_ms DESC LIMIT ?2)
            GROUP BY domain";
        self.count_domains(sql, params![after_ms, limit])
    }

    fn count_domains(&self, sql: &str, parameters: impl Params) -> Result<BTreeMap<Domain, u64>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(parameters, |row| Ok((column::named(row, "domain")?, row.get("count")?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
