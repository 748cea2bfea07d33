use perennial_tests::{Fixture, task};

use crate::support::{INTAKE_LIMIT, await_stored, files, lines, quarantine};

#[test]
fn file_dropped_into_the_inbox_is_taken() {
    let fixture = Fixture::new().unwrap();
    let rows = task("tickets_train").unwrap();
    // One lies there before the daemon starts, one comes while it runs.
    fixture.drop_into_inbox("early.jsonl", lines(&rows[..20])).unwrap();
    let mut daemon = fixture.start().unwrap();
    await_stored(&fixture, &mut daemon, 20).unwrap();
    fixture.drop_into_inbox("late.jsonl", lines(&rows[20..50])).unwrap();
    await_stored(&fixture, &mut daemon, 50).unwrap();
    let inbox = fixture.state().join("inbox");
    daemon.wait_for("an empty inbox", INTAKE_LIMIT, || Ok(files(&inbox)?.is_empty().then_some(()))).unwrap();
    assert_eq!(files(&inbox.join("taken")).unwrap().len(), 2);
}

#[test]
fn garbage_in_the_inbox_goes_to_quarantine_and_the_next_file_is_taken() {
    let fixture = Fixture::new().unwrap();
    let mut daemon = fixture.start().unwrap();
    let noise: Vec<u8> = (0..50_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fixture.drop_into_inbox("noise.bin", noise).unwrap();
    fixture.drop_into_inbox("broken.jsonl.gz", b"\x1f\x8b\x08 and then nothing of the kind").unwrap();
    let rows = task("tickets_train").unwrap();
    fixture.drop_into_inbox("good.jsonl", lines(&rows[..10])).unwrap();
    await_stored(&fixture, &mut daemon, 10).unwrap();
    let inbox = fixture.state().join("inbox");
    daemon.wait_for("an empty inbox", INTAKE_LIMIT, || Ok(files(&inbox)?.is_empty().then_some(()))).unwrap();
    assert!(!files(&fixture.state().join("quarantine")).unwrap().is_empty());
    assert!(quarantine(&fixture).unwrap().iter().all(|line| line["reason"].is_string()));
    let metrics = daemon.metrics().unwrap();
    assert_eq!(metrics.sum("perennial_ingest_rows_total", &[("outcome", "accepted")]), Some(10.0));
    assert_eq!(metrics.sum("perennial_ingest_files_total", &[("outcome", "failed")]), Some(0.0));
}
