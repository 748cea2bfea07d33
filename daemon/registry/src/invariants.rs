//! Each safety property of the registry as one function. The code that could break a property calls it inside its
//! transaction; tests, the crash harness and [`Registry::check`](crate::Registry::check) call it on the whole database.

use std::{fs, path::Path};

use perennial_types::{AdapterId, Fingerprint};
use rusqlite::Connection;

use crate::{RegistryError, column, promotions, store};

/// Exactly one champion, which may be the base model: the pointer, the adapters' states and the history of promotions
/// name the same one.
///
/// # Errors
/// What they name, where they differ.
pub fn exactly_one_champion(connection: &Connection) -> Result<(), RegistryError> {
    let pointer = promotions::champion(connection)?;
    let mut statement = connection.prepare_cached("SELECT id FROM adapters WHERE state = 'champion'")?;
    let by_state: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let by_history = promotions::line(connection)?.pop();
    let by_pointer: Vec<&str> = pointer.iter().map(AdapterId::as_str).collect();
    if by_state == by_pointer && by_history == pointer {
        return Ok(());
    }
    let detail = format!("the pointer names {pointer:?}, the states {by_state:?}, the history {by_history:?}");
    Err(RegistryError::Invariant { property: "exactly one champion", detail })
}

/// No promotion without a passed gate over the same fingerprints: whatever became champion without being forced was
/// passed by a decision on the very files, base, mix and suites that its cycle recorded; and each change of the champion
/// starts from the one before.
///
/// # Errors
/// The first promotion that breaks it.
pub fn no_promotion_without_passed_gate(connection: &Connection) -> Result<(), RegistryError> {
    let broken = |detail| Err(RegistryError::Invariant { property: "no promotion without a passed gate", detail });
    let mut statement = connection.prepare_cached(
        "SELECT promotions.number FROM promotions WHERE reason = 'passed' AND NOT EXISTS (
             SELECT 1 FROM decisions
             JOIN candidates ON candidates.cycle = decisions.cycle
             JOIN adapters ON adapters.id = candidates.adapter
             JOIN cycles ON cycles.id = decisions.cycle
             WHERE decisions.cycle = promotions.cycle AND decisions.passed = 1
                 AND candidates.adapter = promotions.to_adapter
                 AND decisions.files = adapters.files AND decisions.base = candidates.base
                 AND decisions.mix = candidates.mix AND decisions.mix = cycles.mix
                 AND decisions.suites = cycles.suites
                 AND cycles.champion IS promotions.from_adapter)",
    )?;
    let unjustified: Vec<u64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    if let Some(number) = unjustified.first() {
        return broken(format!("promotion {number} has no passed decision on the same fingerprints"));
    }
    let history = promotions::all(connection)?;
    let mut before = None;
    for (number, promotion) in history.into_iter().enumerate() {
        if promotion.from != before {
            return broken(format!("promotion {} starts from {:?}, not {before:?}", number + 1, promotion.from));
        }
        before = promotion.to;
    }
    Ok(())
}

/// A sample id is stored once: each is in the catalogue once, and each segment has as many samples there as it has rows.
///
/// # Errors
/// The first segment or the count that breaks it.
pub fn sample_id_stored_once(connection: &Connection) -> Result<(), RegistryError> {
    let broken = |detail| Err(RegistryError::Invariant { property: "a sample id is stored once", detail });
    let sql = "SELECT count(*) - count(DISTINCT id) FROM samples";
    let repeated: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    if repeated != 0 {
        return broken(format!("{repeated} samples are there again"));
    }
    let mut statement = connection.prepare_cached(
        "SELECT path, rows, (SELECT count(*) FROM samples WHERE segment = number) AS samples
         FROM segments WHERE rows <> samples LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    match rows.next()? {
        None => Ok(()),
        Some(row) => {
            let (path, rows, samples): (String, u64, u64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            broken(format!("segment {path} has {rows} rows and {samples} samples"))
        }
    }
}

/// Phases are recorded once, in order, without a gap; a candidate adapter belongs to the cycle under way; nothing held
/// out or kept out was consumed, and what counts a try was refused.
///
/// # Errors
/// The first thing that breaks it.
pub fn phases_in_order(connection: &Connection) -> Result<(), RegistryError> {
    let checks = [
        (
            "a cycle skipped a phase",
            "SELECT cycle FROM phases GROUP BY cycle HAVING max(phase) <> count(*) - 1",
        ),
        (
            "a finished cycle has no outcome, or one without its phase",
            "SELECT id FROM cycles LEFT JOIN (SELECT cycle, max(phase) AS last FROM phases GROUP BY cycle) ON cycle = id
             WHERE (finished_ms IS NOT NULL AND outcome IS NULL)
                 OR (outcome = 'promoted' AND ifnull(last, -1) <> iif(finished_ms IS NULL, 4, 5))
                 OR (outcome = 'rejected' AND ifnull(last, -1) <> 4)
                 OR (outcome IN ('failed', 'aborted') AND last >= 4)",
        ),
        (
            "an adapter is a candidate though its cycle is finished",
            "SELECT id FROM adapters WHERE state = 'candidate' AND id NOT IN
                 (SELECT adapter FROM candidates JOIN cycles ON cycles.id = cycle WHERE finished_ms IS NULL)",
        ),
        ("a held-out sample was consumed", "SELECT 1 FROM samples WHERE held_out = 1 AND cycle IS NOT NULL"),
        (
            "a sample counts a try of a cycle that the gate did not refuse",
            "SELECT 1 FROM tries JOIN cycles ON cycles.id = tries.cycle WHERE outcome IS NOT 'rejected'",
        ),
        ("a sample was consumed that was kept out", "SELECT 1 FROM samples WHERE kept_out IS NOT NULL AND cycle IS NOT NULL"),
    ];
    for (detail, sql) in checks {
        if connection.prepare_cached(sql)?.exists([])? {
            return Err(RegistryError::Invariant { property: "phases in order", detail: detail.to_owned() });
        }
    }
    Ok(())
}

/// What was acknowledged is there: every segment in the catalogue lies below `root`, the state directory, with the very bytes
/// that were catalogued. Reads all of them.
///
/// # Errors
/// The first segment that is missing or has other bytes.
pub fn segments_are_whole(connection: &Connection, root: &Path) -> Result<(), RegistryError> {
    let broken = |detail| Err(RegistryError::Invariant { property: "segments are whole", detail });
    let mut statement = connection.prepare_cached("SELECT path, fingerprint FROM segments ORDER BY path")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (path, catalogued): (String, String) = (row.get(0)?, row.get(1)?);
        match fs::read(root.join(&path)) {
            Ok(bytes) if Fingerprint::of(&bytes).to_string() == catalogued => {}
            Ok(bytes) => return broken(format!("segment {path} has {} other bytes than were catalogued", bytes.len())),
            Err(error) => return broken(format!("segment {path} cannot be read: {error}")),
        }
    }
    Ok(())
}

/// Every adapter that is or was to be decided on is stored, with the bytes of its lineage.
///
/// # Errors
/// The first adapter whose folder is missing or has other files.
pub fn adapters_match_lineage(connection: &Connection, adapters: &Path) -> Result<(), RegistryError> {
    let mut statement = connection.prepare_cached("SELECT files FROM adapters ORDER BY id")?;
    let stored: Vec<Fingerprint> =
        statement.query_map([], |row| column::parsed(row, "files"))?.collect::<Result<_, _>>()?;
    for files in stored {
        store::verify_adapter(adapters, &files).map_err(|error| RegistryError::Invariant {
            property: "a stored adapter's bytes match its lineage",
            detail: error.to_string(),
        })?;
    }
    Ok(())
}

/// SQLite's own structures are whole, and every reference points at something.
///
/// # Errors
/// SQLite's first finding.
pub fn database_is_sound(connection: &Connection) -> Result<(), RegistryError> {
    let broken = |detail| Err(RegistryError::Invariant { property: "the database is sound", detail });
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return broken(verdict);
    }
    if connection.prepare("PRAGMA foreign_key_check")?.exists([])? {
        return broken("a reference points at nothing".to_owned());
    }
    Ok(())
}
