use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use perennial_registry::{Cycle, CycleOutcome, Registry};
use perennial_tests::{Daemon, Fixture};
use serde_json::Value;

/// Longer than a cycle of the tiny model takes on a busy machine with two cores.
pub(crate) const CYCLE_LIMIT: Duration = Duration::from_secs(120);

/// Longer than taking a small file in takes.
pub(crate) const INTAKE_LIMIT: Duration = Duration::from_secs(30);

/// As many rows as given, joined to a file.
pub(crate) fn lines(rows: &[String]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

/// Rows in the catalogue.
pub(crate) fn stored(registry: &Registry) -> Result<u64> {
    Ok(registry.sample_counts()?.iter().map(|count| count.count).sum())
}

/// Ingests rows by the command line.
pub(crate) fn ingest(fixture: &Fixture, name: &str, rows: &[String]) -> Result<()> {
    let file = fixture.file(name, lines(rows))?;
    fixture.program.run(&["ingest".as_ref(), file.as_os_str()])?.success()?;
    Ok(())
}

/// Runs a cycle by the command line, without a daemon, and returns what the registry says of it.
pub(crate) fn cycle(fixture: &Fixture) -> Result<Cycle> {
    let before = fixture.registry()?.cycles(1)?.first().map_or(0, |cycle| cycle.id.0);
    let ended = fixture.program.run(&["cycle"])?;
    let code = ended.code;
    ended.decided()?;
    let last = fixture.registry()?.cycles(1)?.into_iter().next().context("no cycle was begun")?;
    anyhow::ensure!(last.id.0 == before + 1, "cycle {} after cycle {before}", last.id);
    anyhow::ensure!(promoted(&last) == (code == Some(0)), "exit code {code:?} after {:?}", last.outcome);
    Ok(last)
}

/// Waits until the cycle under way, or the next one, has ended.
pub(crate) fn await_cycle(fixture: &Fixture, daemon: &mut Daemon) -> Result<Cycle> {
    daemon.wait_for("the end of the cycle", CYCLE_LIMIT, || {
        let last = fixture.registry()?.cycles(1)?.into_iter().next();
        Ok(last.filter(|cycle| cycle.finished_ms.is_some()))
    })
}

/// Waits until so many rows are in the catalogue.
pub(crate) fn await_stored(fixture: &Fixture, daemon: &mut Daemon, rows: u64) -> Result<()> {
    daemon.wait_for(&format!("{rows} stored rows"), INTAKE_LIMIT, || {
        Ok((stored(&fixture.registry()?)? == rows).then_some(()))
    })
}

/// Whether the candidate of this cycle became champion.
pub(crate) fn promoted(cycle: &Cycle) -> bool {
    cycle.outcome == Some(CycleOutcome::Promoted)
}

/// A cycle's report.
pub(crate) fn report(fixture: &Fixture, cycle: &Cycle) -> Result<Value> {
    let path = fixture.state().join("cycles").join(cycle.id.to_string()).join("report.json");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// All lines of all quarantine files.
pub(crate) fn quarantine(fixture: &Fixture) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for path in files(&fixture.state().join("quarantine"))? {
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = fs::read_to_string(&path)?;
            for line in text.lines() {
                lines.push(serde_json::from_str(line)?);
            }
        }
    }
    Ok(lines)
}

/// The files of a folder, sorted; none where there is no folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    Ok(paths)
}
