use std::io::Read;

use perennial_data::{
    quarantine::{Quarantine, QuarantineLine},
    rows::{FaultKind, Line, ReadLimits, Rejected, Rows, SourceFault},
};
use perennial_registry::Source as LedgerEntry;
use perennial_types::{Fingerprint, Row, Sample};

use super::{StateIntake, commit::Batch, storage};
use crate::{
    clock,
    config::Ingest,
    ports::{IntakeError, IntakeReport, Origin, REJECTIONS_NAMED_MAX, Rejection},
    untrained,
};

/// The rows of a segment at most: bounds what is in memory while a large file is taken in.
const SEGMENT_ROWS_MAX: usize = 8192;

/// The text of a segment at most, in bytes, for the same reason.
const SEGMENT_BYTES_MAX: usize = 16 << 20;

/// One source on its way in.
pub(super) struct Taking<'a> {
    intake: &'a StateIntake,
    config: &'a Ingest,
    origin: &'a Origin,
    quarantine: Quarantine,
    report: IntakeReport,
    batch: Batch,
}

impl<'a> Taking<'a> {
    pub(super) fn new(intake: &'a StateIntake, config: &'a Ingest, origin: &'a Origin) -> Self {
        let quarantine = Quarantine::new(&intake.quarantine, &origin.source, config.quarantine_limits());
        Self { intake, config, origin, quarantine, report: IntakeReport::default(), batch: Batch::default() }
    }

    /// Reads a source and stores what it holds; durable when this returns.
    ///
    /// # Errors
    /// Where it cannot be read or stored; [`IntakeError::Incomplete`] where it was read in part.
    pub(super) fn take(mut self, reader: impl Read, limits: ReadLimits) -> Result<IntakeReport, IntakeError> {
        let mut rows = Rows::read(self.origin.source.as_str(), reader, limits)?;
        let mut fault = None;
        for line in rows.by_ref() {
            match line? {
                Line::Row { row, .. } => self.good(*row)?,
                Line::Rejected(rejected) => self.bad(rejected)?,
                Line::Fault(found) => fault = Some(self.at_fault(found)?),
            }
        }
        let (fingerprint, bytes) = rows.finish()?;
        self.finish(&fingerprint, bytes, fault.as_ref())?;
        let Self { report, origin, .. } = self;
        match fault {
            None => Ok(report),
            Some(SourceFault { source, reason, kind, .. }) => Err(match kind {
                FaultKind::NotRows => IntakeError::Unreadable { input: source, reason },
                FaultKind::Damaged | FaultKind::OverBound => IntakeError::Incomplete {
                    input: origin.source.clone(),
                    reason,
                    over_bound: kind == FaultKind::OverBound,
                    report: Box::new(report),
                },
            }),
        }
    }

    fn good(&mut self, row: Row) -> Result<(), IntakeError> {
        let sample = Sample::from_row(row, &self.config.default_domain, &self.origin.source, clock::now_ms());
        self.batch.push(sample);
        if self.batch.samples.len() >= SEGMENT_ROWS_MAX || self.batch.bytes >= SEGMENT_BYTES_MAX {
            self.commit()?;
        }
        Ok(())
    }

    fn bad(&mut self, mut rejected: Rejected) -> Result<(), IntakeError> {
        // A file that comes in several requests keeps its own line numbers.
        rejected.line = self.origin.line(rejected.line);
        self.report.rejected += 1;
        if self.report.rejections.len() < REJECTIONS_NAMED_MAX {
            let (line, reason) = (rejected.line, rejected.reason.clone());
            self.report.rejections.push(Rejection { line, reason });
        }
        self.quarantine.push(&QuarantineLine::from(&rejected)).map_err(storage)?;
        self.report.unkept = self.quarantine.dropped();
        Ok(())
    }

    fn at_fault(&mut self, mut fault: SourceFault) -> Result<SourceFault, IntakeError> {
        fault.line = fault.line.map(|line| self.origin.line(line));
        self.quarantine.push(&QuarantineLine::from(&fault)).map_err(storage)?;
        Ok(fault)
    }

    /// Makes what is left durable: first what was refused, then in one transaction the last samples and the ledger's entry,
    /// which only a source has that was read to its end.
    fn finish(&mut self, source: &Fingerprint, bytes: u64, fault: Option<&SourceFault>) -> Result<(), IntakeError> {
        let limits = self.config.quarantine_limits();
        let empty = Quarantine::new(&self.intake.quarantine, &self.origin.source, limits);
        let quarantine = std::mem::replace(&mut self.quarantine, empty);
        let file = quarantine.finish(source, clock::now_ms()).map_err(storage)?;
        self.report.quarantine = file.map(|file| file.path);
        if fault.is_none() {
            self.batch.ledger = Some(LedgerEntry {
                fingerprint: *source,
                name: self.origin.source.clone(),
                bytes,
                stored: self.report.accepted,
                duplicates: self.report.duplicates,
                quarantined: self.report.rejected,
            });
        }
        self.commit()
    }

    fn commit(&mut self) -> Result<(), IntakeError> {
        let committed = self.intake.committer.submit(std::mem::take(&mut self.batch)).map_err(storage)?;
        self.report.accepted += committed.accepted;
        self.report.duplicates += committed.duplicates;
        self.report.held_out += committed.held_out;
        for (domain, rows) in committed.domains {
            *self.report.domains.entry(domain).or_default() += rows;
        }
        untrained::add(&mut self.report.untrained, committed.untrained);
        Ok(())
    }
}
