//! Rows in: read, judged, deduplicated, split, written to segments, catalogued. What is refused goes to quarantine.
//!
//! The order of the steps is what makes the promise: segments are synced before they are catalogued, and only when all is
//! catalogued does the caller acknowledge. A crash in between leaves rows that come again and are then duplicates.
//!
//! Reading and judging go on side by side; what is stored goes through one [`Committer`], where small requests that come
//! at the same time share a segment, its syncs and its transaction.

mod commit;
mod group;
mod requeue;
mod taking;
#[cfg(test)]
mod tests;

use std::{fs::File, io::Read, time::Instant};

use perennial_data::{
    quarantine::QuarantineFolder,
    rows::{ReadError, ReadLimits},
};
use perennial_registry::RegistryError;

use self::{commit::CommitError, group::Committer, taking::Taking};
use crate::{
    config::Ingest,
    ports::{Context, Intake, IntakeError, IntakeReport, Origin, RequeueReport, Stop},
    telemetry::{RowsTaken, StorageFull},
};

/// [`Intake`] into the state directory.
pub(crate) struct StateIntake {
    context: Context,
    committer: Committer,
    quarantine: QuarantineFolder,
}

impl StateIntake {
    pub(crate) fn new(context: Context) -> Self {
        let quarantine = QuarantineFolder::new(&context.state.quarantine());
        Self { committer: Committer::new(context.clone()), context, quarantine }
    }

    fn take(
        &self,
        reader: impl Read,
        origin: &Origin,
        limits: impl FnOnce(&Ingest) -> ReadLimits,
    ) -> Result<IntakeReport, IntakeError> {
        let started = Instant::now();
        let config = self.context.config.current();
        let taking = Taking::new(self, &config.ingest, origin);
        let outcome = taking.take(reader, limits(&config.ingest));
        let report = match &outcome {
            Ok(report) => Some(report),
            Err(IntakeError::Incomplete { report, .. }) => Some(&**report),
            Err(_) => None,
        };
        if let Some(report) = report {
            self.context.telemetry.emit(RowsTaken { source: &origin.source, report, took: started.elapsed() });
        }
        match &outcome {
            Err(IntakeError::StorageFull(_)) => self.context.telemetry.emit(StorageFull(true)),
            Ok(report) if report.accepted > 0 => self.context.telemetry.emit(StorageFull(false)),
            _ => {}
        }
        outcome
    }
}

impl Intake for StateIntake {
    fn take_file(&self, file: File, name: &str, stop: &Stop) -> Result<IntakeReport, IntakeError> {
        self.take(file, &Origin::new(name, 1), |config| config.file_limits(stop.flag()))
    }

    fn take_rows(&self, rows: &mut dyn Read, origin: &Origin, stop: &Stop) -> Result<IntakeReport, IntakeError> {
        self.take(rows, origin, |config| config.request_limits(stop.flag()))
    }

    fn requeue(&self, file: &str) -> anyhow::Result<RequeueReport> {
        let config = self.context.config.current();
        requeue::requeue(self, &config.ingest, file)
    }
}

/// What went wrong while rows were stored.
fn storage(error: impl Into<anyhow::Error>) -> IntakeError {
    let error = error.into();
    if is_full(&error) { IntakeError::StorageFull(error) } else { IntakeError::Storage(error) }
}

impl From<ReadError> for IntakeError {
    fn from(error: ReadError) -> Self {
        if error.is_stop() { Self::Stopped } else { storage(error) }
    }
}

/// Whether what failed is that a disk, or a user's share of it, is full.
pub(crate) fn is_full(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    error.chain().any(|cause| {
        let by_system = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(by_system, Some(StorageFull | QuotaExceeded))
            || cause.downcast_ref::<RegistryError>().is_some_and(RegistryError::is_storage_full)
            || cause.downcast_ref::<CommitError>().is_some_and(|error| error.full)
    })
}
