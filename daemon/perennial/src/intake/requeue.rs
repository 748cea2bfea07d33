use anyhow::Context as _;
use perennial_data::{
    quarantine::{Quarantine, QuarantineLimits, QuarantineLine},
    rows::judge,
};
use perennial_types::Sample;

use super::{StateIntake, commit::Batch};
use crate::{clock, config::Ingest, ports::RequeueReport, quarantine::unknown_is_not_found};

/// Samples that are stored at once.
const BATCH_ROWS_MAX: usize = 1024;

/// Takes the rows of a quarantine file in again and leaves there what is refused still, with the reason of now. Durable, in
/// this order, so that a crash in between leaves rows that are duplicates the next time.
///
/// # Errors
/// Where there is no such file, or something cannot be read or stored; what was stored by then is harmless to repeat.
pub(super) fn requeue(intake: &StateIntake, config: &Ingest, file: &str) -> anyhow::Result<RequeueReport> {
    let entry = intake.quarantine.entry(file).map_err(unknown_is_not_found)?;
    // What is left takes no more room than what was there.
    let limits = QuarantineLimits { source_bytes_max: u64::MAX, folder_bytes_max: u64::MAX };
    let mut left = Quarantine::new(&intake.quarantine, &entry.source, limits);
    let mut report = RequeueReport::default();
    let mut batch = Batch::default();
    for line in intake.quarantine.open(file)? {
        let line = line?;
        match judged(config, &line) {
            Ok(sample) => batch.push(sample),
            Err(Some(reason)) => {
                report.rejected += 1;
                left.push(&QuarantineLine { reason, ..line })?;
            }
            Err(None) => {
                report.not_whole += 1;
                left.push(&line)?;
            }
        }
        if batch.samples.len() >= BATCH_ROWS_MAX {
            store(intake, std::mem::take(&mut batch), &mut report)?;
        }
    }
    store(intake, batch, &mut report)?;
    left.replace(&entry).context("what was accepted could not be removed from quarantine")?;
    Ok(report)
}

/// The sample of a line; else why it is refused, or nothing where the line does not hold a whole row.
fn judged(config: &Ingest, line: &QuarantineLine) -> Result<Sample, Option<String>> {
    let row = line.whole_row().ok_or(None)?;
    if row.len() > config.row_bytes_max {
        return Err(Some(line.reason.clone()));
    }
    let row = judge(row.as_bytes(), config.turns_max).map_err(Some)?;
    Ok(Sample::from_row(row, &config.default_domain, &line.file, clock::now_ms()))
}

fn store(intake: &StateIntake, batch: Batch, report: &mut RequeueReport) -> anyhow::Result<()> {
    let committed = intake.committer.submit(batch)?;
    report.accepted += committed.accepted;
    report.duplicates += committed.duplicates;
    Ok(())
}
