//! Cycles as their rows tell of them.

use std::collections::BTreeMap;

use perennial_types::{CycleId, Fingerprint};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{Cycle, CycleOutcome, Phase, PhaseRecord, RegistryError, Trouble, column, column::Seed};

pub(crate) fn open_cycle_of(connection: &Connection, cycle: CycleId) -> Result<Cycle, RegistryError> {
    let known = read(connection, cycle)?.ok_or(RegistryError::UnknownCycle(cycle))?;
    if known.finished_ms.is_some() {
        return Err(RegistryError::CycleClosed(cycle));
    }
    Ok(known)
}

pub(crate) fn read(connection: &Connection, cycle: CycleId) -> Result<Option<Cycle>, RegistryError> {
    let mut statement = connection.prepare_cached(
        "SELECT cycles.*, candidates.adapter AS candidate
         FROM cycles LEFT JOIN candidates ON candidates.cycle = cycles.id WHERE cycles.id = ?1",
    )?;
    let phases = read_phases(connection, cycle)?;
    Ok(statement.query_row([cycle.0], |row| cycle_of(row, phases)).optional()?)
}

fn cycle_of(row: &Row<'_>, phases: Vec<PhaseRecord>) -> rusqlite::Result<Cycle> {
    let outcome: Option<String> = row.get("outcome")?;
    let reason = row.get::<_, Option<String>>("explanation")?.unwrap_or_default();
    let remedy = row.get::<_, Option<String>>("remedy")?.unwrap_or_default();
    let suites: Option<String> = row.get("suites")?;
    Ok(Cycle {
        id: column::cycle_id(row, "id")?,
        reason: row.get("reason")?,
        config: column::json(row, "config")?,
        seed: row.get::<_, Seed>("seed")?.0,
        champion: column::parsed_optional(row, "champion")?,
        started_ms: row.get("started_ms")?,
        phases,
        mix: column::parsed_optional(row, "mix")?,
        candidate: column::parsed_optional(row, "candidate")?,
        suites: suites.map(|_| column::json::<BTreeMap<String, Fingerprint>>(row, "suites")).transpose()?,
        outcome: outcome.map(|name| match name.as_str() {
            "promoted" => CycleOutcome::Promoted,
            "rejected" => CycleOutcome::Rejected,
            "failed" => CycleOutcome::Failed { reason, remedy },
            _ => CycleOutcome::Aborted { reason },
        }),
        finished_ms: row.get("finished_ms")?,
        attempts: row.get("attempts")?,
        trouble: trouble_of(row)?,
        abort: row.get("abort")?,
    })
}

fn read_phases(connection: &Connection, cycle: CycleId) -> Result<Vec<PhaseRecord>, RegistryError> {
    let mut statement =
        connection.prepare_cached("SELECT phase, detail, at_ms FROM phases WHERE cycle = ?1 ORDER BY phase")?;
    let rows = statement.query_map([cycle.0], |row| {
        let ordinal: usize = row.get("phase")?;
        let phase = Phase::ALL.get(ordinal).copied();
        let phase = phase.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, ordinal as i64))?;
        Ok(PhaseRecord { phase, at_ms: row.get("at_ms")?, detail: column::json(row, "detail")? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn trouble_of(row: &Row<'_>) -> rusqlite::Result<Option<Trouble>> {
    let reason: Option<String> = row.get("trouble")?;
    let trouble = |reason| Ok(Trouble { reason, at_ms: row.get("trouble_ms")?, since_ms: row.get("stuck_ms")? });
    reason.map(trouble).transpose()
}
