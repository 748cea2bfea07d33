use std::io::Write;

use perennial_tests::{Fixture, task};

use crate::support::{ingest, lines, quarantine, stored};

#[test]
fn good_rows_of_a_bad_file_are_kept_and_bad_ones_explained() {
    let fixture = Fixture::new().unwrap();
    let good = task("tickets_train").unwrap();
    let rows = [
        good[0].clone(),
        "{not json".to_owned(),
        good[1].clone(),
        r#"{"question": "no shape"}"#.to_owned(),
        r#"{"messages": [{"role": "robot", "content": "x"}]}"#.to_owned(),
        r#"{"prompt": "a", "completion": "b", "domain": "no/domain"}"#.to_owned(),
        good[2].clone(),
    ];
    ingest(&fixture, "mixed.jsonl", &rows).unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 3);
    let refused = quarantine(&fixture).unwrap();
    let lines: Vec<u64> = refused.iter().map(|line| line["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [2, 4, 5, 6]);
    for line in &refused {
        assert_eq!(line["file"], "mixed.jsonl");
        assert!(line["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{line}");
    }
}

#[test]
fn rows_sent_twice_are_stored_once() {
    let fixture = Fixture::new().unwrap();
    let rows = &task("tickets_train").unwrap()[..50];
    ingest(&fixture, "first.jsonl", rows).unwrap();
    ingest(&fixture, "second.jsonl", &rows[20..]).unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 50);
    assert!(quarantine(&fixture).unwrap().is_empty());
}

#[test]
fn binary_file_is_refused_with_a_reason() {
    let fixture = Fixture::new().unwrap();
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = fixture.file("noise.jsonl", noise).unwrap();
    let error = fixture.program.run(&["ingest".as_ref(), file.as_os_str()]).unwrap().failure().unwrap();
    assert!(error.contains("noise.jsonl"), "says which file: {error}");
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 0);
    assert!(file.is_file(), "the user's own file is left alone");
}

#[test]
fn half_written_file_gives_its_whole_rows() {
    let fixture = Fixture::new().unwrap();
    let rows = &task("tickets_train").unwrap()[..10];
    let text = lines(rows);
    let cut = text.len() - rows[9].len() / 2;
    let file = fixture.file("half.jsonl", &text[..cut]).unwrap();
    fixture.program.run(&["ingest".as_ref(), file.as_os_str()]).unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 9);
    let refused = quarantine(&fixture).unwrap();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["line"], 10);
    // The whole file, sent again, adds the row that was cut.
    ingest(&fixture, "whole.jsonl", rows).unwrap();
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 10);
}

#[test]
fn endless_line_is_refused_and_the_rows_around_it_are_kept() {
    const LINE_BYTES: u64 = 1 << 30;
    let fixture = Fixture::new().unwrap();
    let rows = task("tickets_train").unwrap();
    let path = fixture.file("long.jsonl", lines(&rows[..5])).unwrap();
    let mut file = std::fs::File::options().append(true).open(&path).unwrap();
    // A hole in the file reads as zeros: a line of 1 GiB that takes no room.
    file.set_len(file.metadata().unwrap().len() + LINE_BYTES).unwrap();
    file.write_all(format!("\n{}", lines(&rows[5..8])).as_bytes()).unwrap();
    drop(file);
    let output = fixture.program.run(&["ingest".as_ref(), path.as_os_str()]).unwrap();
    assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 8);
    let refused = quarantine(&fixture).unwrap();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["line"], 6);
    let reason = refused[0]["reason"].as_str().unwrap();
    assert!(reason.contains("row_bytes_max"), "{reason}");
}

#[test]
fn missing_file_is_a_clear_error() {
    let fixture = Fixture::new().unwrap();
    let error = fixture.program.run(&["ingest", "/nowhere/at-all.jsonl"]).unwrap().failure().unwrap();
    assert!(error.contains("/nowhere/at-all.jsonl"), "{error}");
}

#[test]
fn a_script_learns_from_the_exit_code_what_became_of_the_rows() {
    for by_daemon in [false, true] {
        let fixture = Fixture::new().unwrap();
        let _daemon = by_daemon.then(|| fixture.start().unwrap());
        exit_codes(&fixture);
    }
}

fn exit_codes(fixture: &Fixture) {
    let (good, bad) = (r#"{"text": "a"}"#, r#"{"question": "q"}"#);
    let code = |name: &str, rows: &[&str], arguments: &[&str]| {
        let file = fixture.file(name, rows.join("\n")).unwrap();
        let arguments = [&["ingest", file.to_str().unwrap()], arguments].concat();
        fixture.program.run(&arguments).unwrap().code
    };
    assert_eq!(code("mixed.jsonl", &[good, bad], &[]), Some(0));
    assert_eq!(code("mixed.jsonl", &[good, bad], &["--strict"]), Some(3));
    assert_eq!(code("bad.jsonl", &[bad], &[]), Some(4));
    assert_eq!(code("bad.jsonl", &[bad], &["--strict"]), Some(4));
    // What was stored before is taken, and where there are no rows none is missing.
    assert_eq!(code("again.jsonl", &[good], &["--strict"]), Some(0));
    assert_eq!(code("empty.jsonl", &[], &["--strict"]), Some(0));
    assert_eq!(code("table.csv", &["prompt,completion", "a,b"], &[]), Some(1));
}
