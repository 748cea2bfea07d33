use perennial_types::{AdapterId, CycleId, Fingerprint};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Value;

use crate::{
    Cycle, CycleOutcome, NewAdapter, NewCycle, NewDecision, Phase, Product, Registry, RegistryError, attempts,
    catalogue,
    champion::{self, Change},
    column,
    column::Seed,
    cycle_rows::{open_cycle_of, read},
    ending::{finish, reject_candidate},
    invariants, pins, promotions, set_aside, tries,
};

impl Registry {
    /// Starts a cycle against the present champion.
    ///
    /// # Errors
    /// Where one is under way.
    pub fn begin_cycle(&self, new: &NewCycle, at_ms: i64) -> Result<CycleId, RegistryError> {
        self.write(|transaction| {
            if let Some(open) = open_id(transaction)? {
                return Err(RegistryError::CycleOpen(open));
            }
            transaction.execute(
                "INSERT INTO cycles (reason, config, seed, champion, started_ms)
                 VALUES (?1, ?2, ?3, (SELECT adapter FROM champion), ?4)",
                params![new.reason, new.config.to_string(), Seed(new.seed), at_ms],
            )?;
            Ok(CycleId(transaction.last_insert_rowid().cast_unsigned()))
        })
    }

    /// Records a phase with what it produced, and all that follows from it:
    /// - `Trained` adds the candidate, whose folder must be stored by then;
    /// - `Decided`, where the gate passed, marks the samples that were learned as consumed and makes the candidate the
    ///   champion; where it did not, the samples count a try and stay fresh, and the cycle is finished;
    /// - `Published` finishes the cycle.
    ///
    /// # Errors
    /// Where the cycle is finished, the phase is not the next one, or its product does not fit what was recorded before:
    /// then nothing changes.
    pub fn record_phase(
        &self,
        cycle: CycleId,
        product: Product<'_>,
        detail: &Value,
        at_ms: i64,
    ) -> Result<(), RegistryError> {
        self.write(|transaction| {
            let known = open_cycle_of(transaction, cycle)?;
            let (found, expected) = (product.phase(), known.next_phase());
            if expected != Some(found) {
                return Err(RegistryError::WrongPhase { cycle, found, expected });
            }
            match product {
                Product::Collected => {}
                Product::Mixed { mix } => set(transaction, cycle, "mix", &mix.to_string())?,
                Product::Trained(adapter) => add_candidate(transaction, &known, adapter, at_ms)?,
                Product::Evaluated { suites } => {
                    set(transaction, cycle, "suites", &serde_json::to_string(suites)?)?;
                }
                Product::Decided(decision) => decide(transaction, &known, decision, at_ms)?,
                Product::Published => finish(transaction, cycle, &CycleOutcome::Promoted, at_ms)?,
            }
            transaction.execute(
                "INSERT INTO phases (cycle, phase, detail, at_ms) VALUES (?1, ?2, ?3, ?4)",
                params![cycle.0, found as u8, detail.to_string(), at_ms],
            )?;
            attempts::got_further(transaction, cycle)
        })
    }

    /// The cycle under way.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn open_cycle(&self) -> Result<Option<Cycle>, RegistryError> {
        let connection = self.lock();
        open_id(&connection)?.map_or(Ok(None), |open| read(&connection, open))
    }

    /// A cycle; `None` where there is none of this number.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn cycle(&self, cycle: CycleId) -> Result<Option<Cycle>, RegistryError> {
        read(&self.lock(), cycle)
    }

    /// The latest cycles, latest first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn cycles(&self, limit: usize) -> Result<Vec<Cycle>, RegistryError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached("SELECT id FROM cycles ORDER BY id DESC LIMIT ?1")?;
        let ids: Vec<CycleId> =
            statement.query_map([limit], |row| column::cycle_id(row, "id"))?.collect::<Result<_, _>>()?;
        let cycles = ids.into_iter().map(|id| read(&connection, id)?.ok_or(RegistryError::UnknownCycle(id)));
        cycles.collect()
    }
}

fn add_candidate(
    transaction: &Transaction<'_>,
    cycle: &Cycle,
    adapter: &NewAdapter,
    at_ms: i64,
) -> Result<(), RegistryError> {
    if cycle.mix != Some(adapter.mix) {
        return Err(RegistryError::Mismatch { cycle: cycle.id, what: "mix", phase: Phase::Trained });
    }
    let id = AdapterId::of(&adapter.files);
    // The same bytes may come out of a later cycle again; they are a candidate again unless they have been champion.
    transaction.execute(
        "INSERT INTO adapters (id, files, state, created_ms) VALUES (?1, ?2, 'candidate', ?3)
         ON CONFLICT (id) DO UPDATE SET state = 'candidate' WHERE state = 'rejected' AND files = excluded.files",
        params![id.as_str(), adapter.files.to_string(), at_ms],
    )?;
    transaction.execute(
        "INSERT INTO candidates (cycle, adapter, parent, base, mix, config, seed, code_version)
         VALUES (?1, (SELECT id FROM adapters WHERE id = ?2 AND files = ?3), ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            cycle.id.0,
            id.as_str(),
            adapter.files.to_string(),
            adapter.parent.as_ref().map(AdapterId::as_str),
            adapter.base.to_string(),
            adapter.mix.to_string(),
            adapter.config.to_string(),
            Seed(adapter.seed),
            adapter.code_version
        ],
    )?;
    Ok(())
}

fn decide(
    transaction: &Transaction<'_>,
    cycle: &Cycle,
    decision: &NewDecision,
    at_ms: i64,
) -> Result<(), RegistryError> {
    let Some(candidate) = &cycle.candidate else {
        return Err(RegistryError::UnknownCycle(cycle.id));
    };
    let mismatch = |what| RegistryError::Mismatch { cycle: cycle.id, what, phase: Phase::Decided };
    let (files, base) = made_of(transaction, cycle.id)?;
    if decision.files != files {
        return Err(mismatch("candidate"));
    }
    if decision.base != base {
        return Err(mismatch("base model"));
    }
    if Some(decision.mix) != cycle.mix {
        return Err(mismatch("mix"));
    }
    if Some(&decision.suites) != cycle.suites.as_ref() {
        return Err(mismatch("suites"));
    }
    transaction.execute(
        "INSERT INTO decisions (cycle, passed, files, base, mix, suites, reasons) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            cycle.id.0,
            decision.passed,
            decision.files.to_string(),
            decision.base.to_string(),
            decision.mix.to_string(),
            serde_json::to_string(&decision.suites)?,
            decision.reasons.to_string()
        ],
    )?;
    if !decision.passed {
        tries::charge(transaction, cycle.id, &decision.learned)?;
        set_aside::add(transaction, &decision.set_aside, Some(cycle.id), at_ms)?;
        reject_candidate(transaction, cycle.id)?;
        return finish(transaction, cycle.id, &CycleOutcome::Rejected, at_ms);
    }
    let now = promotions::champion(transaction)?;
    if now != cycle.champion {
        return Err(RegistryError::ChampionChanged { cycle: cycle.id, then: cycle.champion.clone(), now });
    }
    catalogue::consume(transaction, cycle.id, &decision.learned)?;
    // Training may end in the very bytes that are in service; then nothing changes hands.
    if now.as_ref() != Some(candidate) {
        champion::change(transaction, &Change::Passed(candidate, cycle.id), at_ms)?;
    }
    if decision.pins {
        pins::by_test(transaction, candidate, cycle.id, at_ms)?;
    }
    set(transaction, cycle.id, "outcome", CycleOutcome::Promoted.as_str())?;
    invariants::no_promotion_without_passed_gate(transaction)
}

/// The fingerprints of a candidate's files and of its base, as they were recorded when it was trained.
fn made_of(connection: &Connection, cycle: CycleId) -> Result<(Fingerprint, Fingerprint), RegistryError> {
    let sql = "SELECT files, base FROM candidates JOIN adapters ON adapters.id = adapter WHERE cycle = ?1";
    Ok(connection.query_row(sql, [cycle.0], |row| Ok((column::parsed(row, "files")?, column::parsed(row, "base")?)))?)
}

/// Sets one column of a cycle; `column` is one of this file's literals.
fn set(connection: &Connection, cycle: CycleId, column: &'static str, value: &str) -> Result<(), RegistryError> {
    connection.execute(&format!("UPDATE cycles SET {column} = ?2 WHERE id = ?1"), params![cycle.0, value])?;
    Ok(())
}

fn open_id(connection: &Connection) -> Result<Option<CycleId>, RegistryError> {
    let sql = "SELECT id FROM cycles WHERE finished_ms IS NULL";
    Ok(connection.query_row(sql, [], |row| column::cycle_id(row, "id")).optional()?)
}
