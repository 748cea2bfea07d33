use std::path::Path;

use super::*;
use crate::rows::{Excerpt, Rejected};

const LIMITS: QuarantineLimits = QuarantineLimits { source_bytes_max: 1 << 20, folder_bytes_max: 1 << 20 };

fn rejected(line: u64) -> QuarantineLine {
    let excerpt = Excerpt { text: "{\"a\n\u{1}".into(), base64: false, row_bytes: 5, cut: false };
    (&Rejected { source: "../in box/a.jsonl".into(), line, reason: "no".into(), excerpt }).into()
}

fn quarantine(folder: &QuarantineFolder, rows: u64, now_ms: i64) -> Option<QuarantineFile> {
    let mut quarantine = Quarantine::new(folder, "../in box/a.jsonl", LIMITS);
    (1..=rows).for_each(|line| quarantine.push(&rejected(line)).unwrap());
    quarantine.finish(&Fingerprint::of(b"source"), now_ms).unwrap()
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn lines_read_back_as_they_were_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = QuarantineFolder::new(temporary.path());
    let file = quarantine(&folder, 2, 0).unwrap();
    let name = file.path.file_name().unwrap().to_str().unwrap();
    let lines: Vec<_> = folder.open(name).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(lines, [rejected(1), rejected(2)]);
    assert_eq!(lines[0].whole_row(), Some("{\"a\n\u{1}"));
    let text = fs::read_to_string(&file.path).unwrap();
    assert_eq!(
        text.lines().next().unwrap(),
        r#"{"kind":"row","file":"../in box/a.jsonl","line":1,"reason":"no","row":"{\"a\n\u0001","row_bytes":5}"#
    );
    let entry = folder.entry(name).unwrap();
    assert_eq!((entry.kinds[&QuarantineKind::Row], entry.reasons["no"], entry.bytes), (2, 2, text.len() as u64));
    assert_eq!(folder.names().unwrap(), [name]);
}

#[test]
fn lines_of_earlier_versions_and_of_whole_sources_are_read() {
    let old = r#"{"file":"a","line":1,"reason":"no","row":"{","row_bytes":1}"#;
    let old: QuarantineLine = serde_json::from_str(old).unwrap();
    assert_eq!((old.kind, old.whole_row()), (QuarantineKind::Row, Some("{")));
    let source = QuarantineLine { kind: QuarantineKind::Source, line: Some(7), excerpt: None, ..old };
    let text = serde_json::to_string(&source).unwrap();
    assert_eq!(text, r#"{"kind":"source","file":"a","line":7,"reason":"no"}"#);
    assert_eq!(serde_json::from_str::<QuarantineLine>(&text).unwrap(), source);
}

#[test]
fn second_reading_of_the_same_source_replaces_the_first_and_a_clean_one_removes_it() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = QuarantineFolder::new(temporary.path());
    let first = quarantine(&folder, 2, 0).unwrap();
    let second = quarantine(&folder, 3, 86_400_000).unwrap();
    assert_eq!(first.path, second.path);
    assert_eq!(fs::read_to_string(&second.path).unwrap().lines().count(), 3);
    assert_eq!(count(temporary.path()), 1);
    assert_eq!(quarantine(&QuarantineFolder::new(temporary.path()), 0, 0), None);
    assert_eq!(count(temporary.path()), 0);
}

#[test]
fn rows_beyond_what_a_source_or_the_folder_may_take_are_counted() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = QuarantineFolder::new(temporary.path());
    let line_bytes = serde_json::to_string(&rejected(1)).unwrap().len() as u64 + 1;
    let kept = |limits, source: &str| {
        let mut quarantine = Quarantine::new(&folder, source, limits);
        (1..=9).for_each(|line| quarantine.push(&rejected(line)).unwrap());
        let dropped = quarantine.dropped();
        (quarantine.finish(&Fingerprint::of(source.as_bytes()), 0).unwrap().map(|file| file.rows), dropped)
    };
    assert_eq!(kept(QuarantineLimits { source_bytes_max: 3 * line_bytes, ..LIMITS }, "a"), (Some(3), 6));
    assert_eq!(kept(QuarantineLimits { folder_bytes_max: 4096 + 2 * line_bytes, ..LIMITS }, "b"), (Some(2), 7));
    assert_eq!(kept(QuarantineLimits { folder_bytes_max: 4096, ..LIMITS }, "c"), (None, 9));
}

#[test]
fn what_was_accepted_leaves_its_file() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = QuarantineFolder::new(temporary.path());
    let file = quarantine(&folder, 3, 0).unwrap();
    let entry = folder.entry(file.path.file_name().unwrap().to_str().unwrap()).unwrap();
    let mut left = Quarantine::new(&folder, &entry.source, LIMITS);
    left.push(&rejected(2)).unwrap();
    left.replace(&entry).unwrap();
    assert_eq!(folder.open(&entry.name).unwrap().count(), 1);
    Quarantine::new(&folder, &entry.source, LIMITS).replace(&entry).unwrap();
    assert!(matches!(folder.open(&entry.name), Err(QuarantineError::Unknown(_))));
}

#[test]
fn other_files_are_not_taken_for_quarantine() {
    let folder = QuarantineFolder::new(Path::new("/"));
    for name in
        ["../20261121T210613Z-a-1.jsonl", "rows.jsonl", "20261121T210613Z-a/../b.jsonl", "20261121X210613Z-a.jsonl"]
    {
        assert!(matches!(folder.open(name), Err(QuarantineError::Unknown(_))), "{name}");
    }
}

#[test]
fn nothing_finished_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let mut quarantine = Quarantine::new(&QuarantineFolder::new(temporary.path()), "a", LIMITS);
    quarantine.push(&rejected(1)).unwrap();
    drop(quarantine);
    assert_eq!(count(temporary.path()), 0);
}
