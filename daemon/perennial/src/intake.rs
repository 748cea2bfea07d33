//! Rows in: read, judged, deduplicated, split, written to segments, catalogued. What is refused goes to quarantine.
//!
//! The order of the steps is what makes the promise: segments are synced before they are catalogued, and only when all is
//! catalogued does the caller acknowledge. A crash in between leaves rows that come again and are then duplicates.

use std::{
    cell::Cell,
    collections::BTreeSet,
    fs::File,
    io::{BufRead, Read},
    path::Path,
    time::Instant,
};

use anyhow::Context as _;
use perennial_data::{
    quarantine::Quarantine,
    rows::{Line, ReadLimits, Rejected, Rows},
    segment::{self, Stored},
    split::{self, SplitConfig},
};
use perennial_registry::{NewSample, NewSegment, Source as LedgerEntry};
use perennial_types::{Sample, SampleId};

use crate::{
    clock,
    config::Ingest,
    ports::{Context, Intake, IntakeError, IntakeReport, Origin, REJECTIONS_NAMED_MAX, Rejection},
    telemetry::RowsTaken,
};

/// The rows of a segment at most: bounds what is in memory while a large file is taken in.
const SEGMENT_ROWS_MAX: usize = 16_384;

/// The text of a segment at most, in bytes, for the same reason.
const SEGMENT_BYTES_MAX: usize = 64 << 20;

/// [`Intake`] into the state directory.
pub(crate) struct StateIntake {
    context: Context,
}

impl StateIntake {
    pub(crate) fn new(context: Context) -> Self {
        Self { context }
    }
}

impl Intake for StateIntake {
    fn take_file(&self, file: &Path) -> Result<IntakeReport, IntakeError> {
        let source = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
        let open = || File::open(file).with_context(|| format!("{} cannot be opened", file.display()));
        let reader = open().map_err(IntakeError::Storage)?;
        self.take(reader, &Origin { source, first_line: 1 })
    }

    fn take_rows(&self, rows: &mut dyn BufRead, origin: &Origin) -> Result<IntakeReport, IntakeError> {
        self.take(rows, origin)
    }
}

impl StateIntake {
    fn take(&self, reader: impl Read, origin: &Origin) -> Result<IntakeReport, IntakeError> {
        let started = Instant::now();
        let config = self.context.config.current();
        let taking = Taking::new(self, &config.ingest, origin);
        let report = taking.take(reader)?;
        let took = started.elapsed();
        self.context.telemetry.emit(RowsTaken { source: &origin.source, report: &report, took });
        Ok(report)
    }
}

/// One source on its way in.
struct Taking<'a> {
    intake: &'a StateIntake,
    config: &'a Ingest,
    origin: &'a Origin,
    quarantine: Quarantine,
    report: IntakeReport,
    batch: Vec<Sample>,
    batch_ids: BTreeSet<SampleId>,
    batch_bytes: usize,
}

impl<'a> Taking<'a> {
    fn new(intake: &'a StateIntake, config: &'a Ingest, origin: &'a Origin) -> Self {
        let quarantine = Quarantine::new(&intake.context.state.quarantine(), &origin.source);
        let report = IntakeReport::default();
        let (batch, batch_ids) = (Vec::new(), BTreeSet::new());
        Self { intake, config, origin, quarantine, report, batch, batch_ids, batch_bytes: 0 }
    }

    fn take(mut self, reader: impl Read) -> Result<IntakeReport, IntakeError> {
        let bytes = Cell::new(0);
        let limits = ReadLimits { row_bytes_max: self.config.row_bytes_max, ..ReadLimits::default() };
        let reader = Counted { inner: reader, bytes: &bytes };
        let mut rows = Rows::read(self.origin.source.as_str(), reader, limits).map_err(storage)?;
        let mut refusal = None;
        for line in rows.by_ref() {
            match line.map_err(storage)? {
                Line::Row { row, .. } => {
                    let now = clock::now_ms();
                    self.good(Sample::from_row(row, &self.config.default_domain, &self.origin.source, now))?;
                }
                Line::Rejected(rejected) => {
                    if rejected.line.is_none() {
                        refusal = Some(rejected.reason.clone());
                    }
                    self.bad(rejected).map_err(storage)?;
                }
            }
        }
        self.flush().map_err(IntakeError::Storage)?;
        let fingerprint = rows.finish().map_err(storage)?;
        let quarantine = self.quarantine.finish(&fingerprint, clock::now_ms()).map_err(storage)?;
        if let Some(reason) = refusal {
            return Err(IntakeError::Unreadable { input: self.origin.source.clone(), reason });
        }
        let mut report = self.report;
        report.quarantine = quarantine.map(|file| file.path);
        let entry = LedgerEntry {
            fingerprint,
            name: self.origin.source.clone(),
            bytes: bytes.get(),
            stored: report.accepted,
            duplicates: report.duplicates,
            quarantined: report.rejected,
        };
        self.intake.context.registry.record_source(&entry, clock::now_ms()).map_err(storage)?;
        Ok(report)
    }

    fn good(&mut self, sample: Sample) -> Result<(), IntakeError> {
        if !self.batch_ids.insert(sample.id) {
            self.report.duplicates += 1;
            return Ok(());
        }
        self.batch_bytes += sample.body.text().len();
        self.batch.push(sample);
        if self.batch.len() >= SEGMENT_ROWS_MAX || self.batch_bytes >= SEGMENT_BYTES_MAX {
            self.flush().map_err(IntakeError::Storage)?;
        }
        Ok(())
    }

    fn bad(&mut self, mut rejected: Rejected) -> anyhow::Result<()> {
        // A file that comes in several requests keeps its own line numbers.
        rejected.line = rejected.line.map(|line| line + self.origin.first_line - 1);
        self.report.rejected += 1;
        if self.report.rejections.len() < REJECTIONS_NAMED_MAX {
            let (line, reason) = (rejected.line.unwrap_or_default(), rejected.reason.clone());
            self.report.rejections.push(Rejection { line, reason });
        }
        Ok(self.quarantine.push(&rejected)?)
    }

    /// Stores what the batch holds that is not stored yet, as one segment.
    fn flush(&mut self) -> anyhow::Result<()> {
        let Self { intake: StateIntake { context }, config, .. } = *self;
        let registry = &context.registry;
        let mut batch = std::mem::take(&mut self.batch);
        self.batch_ids.clear();
        self.batch_bytes = 0;

        let ids: Vec<SampleId> = batch.iter().map(|sample| sample.id).collect();
        let known = registry.known(&ids)?;
        batch.retain(|sample| !known.contains(&sample.id));
        self.report.duplicates += known.len() as u64;
        if batch.is_empty() {
            return Ok(());
        }

        let counts = registry.held_out_counts()?;
        let already = counts.into_iter().map(|(domain, counts)| (domain, counts.held_out as usize)).collect();
        let split = SplitConfig { fraction: config.held_out_fraction, min_per_domain: config.held_out_min as usize };
        let lots: Vec<_> = batch.iter().map(|sample| (sample.id, sample.domain.clone())).collect();
        let held_out = split::choose_held_out(&split, &lots, &already);
        let stored: Vec<Stored> =
            batch.into_iter().map(|sample| Stored { held_out: held_out.contains(&sample.id), sample }).collect();

        let file = segment::write_segment(context.state.root(), &stored)?;
        let new_segment = NewSegment {
            path: file.path,
            fingerprint: file.fingerprint,
            rows: file.rows,
            bytes: file.bytes,
            created_ms: clock::now_ms(),
        };
        let samples: Vec<NewSample> = stored.iter().map(catalogued).collect();
        registry.add_segment(&new_segment, &samples)?;

        self.report.accepted += file.rows;
        self.report.held_out += file.held_out;
        for sample in samples {
            *self.report.domains.entry(sample.domain).or_default() += 1;
        }
        context.telemetry.beat();
        Ok(())
    }
}

fn catalogued(stored: &Stored) -> NewSample {
    let Stored { sample, held_out } = stored;
    NewSample {
        id: sample.id,
        domain: sample.domain.clone(),
        kind: sample.body.kind(),
        held_out: *held_out,
        arrived_ms: sample.arrived_ms,
    }
}

fn storage(error: impl Into<anyhow::Error>) -> IntakeError {
    IntakeError::Storage(error.into())
}

/// Counts what is read.
struct Counted<'a, R> {
    inner: R,
    bytes: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}
