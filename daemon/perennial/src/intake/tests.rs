use std::{
    io::Cursor,
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
};

use perennial_data::quarantine::{QuarantineKind, QuarantineLine};
use perennial_registry::Registry;
use perennial_types::{Domain, Row, Sample};
use tempfile::TempDir;

use super::{commit::Batch, *};
use crate::{
    config::{Config, SharedConfig},
    publishing::Publishing,
    state::StateDir,
    telemetry::{ProgressBar, Telemetry},
};

struct Place {
    folder: TempDir,
    intake: StateIntake,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::new(folder.path(), None);
        state.create().unwrap();
        let registry = Registry::open(&state.database()).unwrap();
        let (config, telemetry) = (Config::default(), Telemetry::new(ProgressBar::hidden()).unwrap());
        let runtime = tokio::runtime::Handle::current();
        let publishing = Publishing::new(&config, &state, registry.clone(), telemetry.clone(), runtime.clone());
        let context = Context { config: SharedConfig::new(config), publishing, registry, state, telemetry, runtime };
        Self { folder, intake: StateIntake::new(context) }
    }

    fn configure(&self, change: impl FnOnce(&mut Ingest)) {
        let mut config = Config::clone(&self.intake.context.config.current());
        change(&mut config.ingest);
        self.intake.context.config.replace(config);
    }

    fn take(&self, source: &str, bytes: impl AsRef<[u8]>) -> Result<IntakeReport, IntakeError> {
        self.intake.take_rows(&mut Cursor::new(bytes.as_ref()), &Origin::new(source, 1), &Stop::default())
    }

    fn segments(&self) -> Vec<PathBuf> {
        let days = std::fs::read_dir(self.folder.path().join("segments")).unwrap();
        let files = |day: std::io::Result<std::fs::DirEntry>| std::fs::read_dir(day.unwrap().path()).unwrap();
        days.flat_map(files).map(|file| file.unwrap().path()).collect()
    }

    fn stored(&self) -> u64 {
        self.intake.context.registry.segment_totals().unwrap().1
    }

    fn sql(&self, sql: &str) {
        self.intake.context.registry.read(|connection| connection.execute_batch(sql)).unwrap();
    }

    fn quarantine(&self, file: &Path) -> Vec<QuarantineLine> {
        let name = file.file_name().unwrap().to_str().unwrap();
        self.intake.quarantine.open(name).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

fn row(text: &str) -> String {
    format!("{}\n", serde_json::json!({ "text": text }))
}

#[tokio::test]
async fn requests_of_the_same_time_share_segments_and_each_row_is_stored_once() {
    const SENDERS: usize = 16;
    const REQUESTS: usize = 8;
    let place = Place::new();
    let together = Barrier::new(SENDERS);
    let reports: Vec<IntakeReport> = thread::scope(|scope| {
        let senders = (0..SENDERS).map(|sender| {
            let (place, together) = (&place, &together);
            scope.spawn(move || {
                together.wait();
                let sent = (0..REQUESTS).map(|request| {
                    // One row of its own, and one that all send.
                    let rows = row(&format!("{sender} {request}")) + &row(&format!("all {request}"));
                    place.take("http", rows).unwrap()
                });
                sent.collect::<Vec<_>>()
            })
        });
        let senders: Vec<_> = senders.collect();
        senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
    });
    let sum = |of: fn(&IntakeReport) -> u64| reports.iter().map(of).sum::<u64>();
    let unique = (SENDERS * REQUESTS + REQUESTS) as u64;
    assert_eq!((sum(|report| report.accepted), place.stored()), (unique, unique));
    assert_eq!(sum(|report| report.duplicates), (SENDERS * REQUESTS * 2) as u64 - unique);
    place.intake.context.registry.check().unwrap();
    let segments = place.segments().len();
    assert!(segments < SENDERS * REQUESTS / 2, "{segments} segments for {} requests", SENDERS * REQUESTS);
    let sources = place.intake.context.registry.sources(1000).unwrap();
    assert_eq!(sources.iter().map(|taken| taken.source.stored).sum::<u64>(), unique);
}

#[tokio::test]
async fn batch_that_cannot_be_stored_leaves_nothing_and_takes_no_other_with_it() {
    let place = Place::new();
    place.sql(
        "CREATE TRIGGER refuse BEFORE INSERT ON samples WHEN NEW.domain = 'bad'
         BEGIN SELECT RAISE(ABORT, 'not today'); END",
    );
    let batch = |text: &str, domain: &str| {
        let mut batch = Batch::default();
        let row = Row::parse(&row(text)).unwrap();
        batch.push(Sample::from_row(row, &Domain::new(domain).unwrap(), "test", 0));
        batch
    };
    let group = vec![batch("a", "good"), batch("b", "bad"), batch("c", "good")];
    let outcomes = place.intake.committer.store_group(group);
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!((place.stored(), place.segments().len()), (2, 2), "the segment that was not catalogued is gone");
    place.sql("DROP TRIGGER refuse");
    assert_eq!(place.intake.committer.submit(batch("b", "bad")).unwrap().accepted, 1);
    assert_eq!(place.intake.committer.submit(batch("b", "bad")).unwrap().duplicates, 1);
}

#[tokio::test]
async fn source_at_fault_keeps_its_rows_and_counts_once() {
    let place = Place::new();
    place.configure(|ingest| ingest.request.rows_max = 3);
    let rows = row("a") + "{broken\n" + &row("b") + &row("c");
    let Err(IntakeError::Incomplete { over_bound: true, reason, report, .. }) = place.take("a.jsonl", rows) else {
        panic!("it went through")
    };
    assert!(reason.contains("`rows_max` in [ingest.request]"), "{reason}");
    assert_eq!((report.accepted, report.rejected, place.stored()), (2, 1, 2));
    let lines = place.quarantine(report.quarantine.as_ref().unwrap());
    let kinds: Vec<_> = lines.iter().map(|line| (line.kind, line.line)).collect();
    assert_eq!(kinds, [(QuarantineKind::Row, Some(2)), (QuarantineKind::Source, Some(4))]);
    assert_eq!(lines[1].excerpt, None);
    assert!(place.intake.context.registry.sources(9).unwrap().is_empty(), "it was not taken in");
    // With the bound raised, it goes through, and what was kept of it before is replaced.
    place.configure(|ingest| ingest.request.rows_max = 4);
    let again = place.take("a.jsonl", row("a") + "{broken\n" + &row("b") + &row("c")).unwrap();
    assert_eq!((again.accepted, again.duplicates), (1, 2));
    assert_eq!(place.quarantine(again.quarantine.as_ref().unwrap()).len(), 1);
}

#[tokio::test]
async fn requeued_rows_are_judged_by_the_present_configuration() {
    let place = Place::new();
    place.configure(|ingest| (ingest.turns_max, ingest.row_bytes_max) = (1, 1024));
    let turn = serde_json::json!({"role": "assistant", "content": "a"});
    let long = format!("{}\n", serde_json::json!({"messages": [turn, turn]}));
    let huge = row(&"huge ".repeat(1000));
    let report = place.take("a.jsonl", format!("{long}{{broken\n{huge}{}", row("good"))).unwrap();
    assert_eq!((report.accepted, report.rejected), (1, 3));
    let file = report.quarantine.unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();

    place.configure(|ingest| (ingest.turns_max, ingest.row_bytes_max) = (2, 1 << 20));
    let requeued = place.intake.requeue(name).unwrap();
    let expected = RequeueReport { accepted: 1, duplicates: 0, rejected: 1, not_whole: 1 };
    assert_eq!((requeued, place.stored()), (expected, 2));
    let left: Vec<_> = place.quarantine(&file).into_iter().map(|line| line.line).collect();
    assert_eq!(left, [Some(2), Some(3)], "the lines keep their numbers");
    let again = place.intake.requeue(name).unwrap();
    assert_eq!((again.accepted, again.duplicates, again.rejected), (0, 0, 1));
    assert!(place.intake.requeue("20260101T000000Z-none-0.jsonl").is_err());
}

#[tokio::test]
async fn no_number_of_a_line_overflows() {
    let place = Place::new();
    let origin = Origin::new("http", u64::MAX);
    let text = format!("{{broken\n{{broken\n{}", row("a"));
    let report = place.intake.take_rows(&mut Cursor::new(text), &origin, &Stop::default()).unwrap();
    assert_eq!(report.rejections.iter().map(|rejection| rejection.line).collect::<Vec<_>>(), [u64::MAX; 2]);
    assert_eq!(Origin::new("http", 0).line(1), 1);
}

#[tokio::test]
async fn stopped_reading_is_neither_refused_nor_acknowledged() {
    let place = Place::new();
    let stop = Stop::default();
    stop.set();
    let outcome = place.intake.take_rows(&mut Cursor::new(row("a")), &Origin::new("http", 1), &stop);
    assert!(matches!(outcome, Err(IntakeError::Stopped)), "{outcome:?}");
}

#[test]
fn full_disks_are_told_from_other_failures() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    assert!(matches!(storage(anyhow::Error::from(full).context("segment")), IntakeError::StorageFull(_)));
    assert!(matches!(storage(CommitError { text: String::new(), full: true }), IntakeError::StorageFull(_)));
    assert!(matches!(storage(std::io::Error::other("broken")), IntakeError::Storage(_)));
}
