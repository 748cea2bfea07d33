//! What an input costs, and what becomes of inputs that ask for more.

use std::{
    fs,
    io::Write,
    os::unix::fs::symlink,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};
use perennial_tests::{Fixture, Response, task};
use perennial_types::{Domain, Row, Sample, SampleId};
use serde_json::Value;

use crate::support::{INTAKE_LIMIT, await_stored, files, lines, quarantine, stored};

/// What somebody who sends a few rows may have to wait on a busy machine, whatever else is sent.
const PROMPT: Duration = Duration::from_secs(5);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What became of rows of which none was taken.
fn refused(answer: &Response) -> Value {
    let problem: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!((answer.status, problem["code"].as_str()), (422, Some("nothing_taken")), "{problem}");
    problem["report"].clone()
}

#[test]
fn small_request_is_acknowledged_while_heavy_ones_are_read() {
    let fixture = Fixture::new().unwrap().with(&["ingest.desks=1"]);
    let daemon = fixture.start().unwrap();
    let bad: String = (0..400_000).map(|n| format!("{{{n}\n")).collect();
    let heavy = gzip(bad.as_bytes());
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                daemon.http.post("/v1/samples", "application/jsonl", &heavy).unwrap();
                over.store(true, Ordering::Relaxed);
            });
        }
        thread::sleep(Duration::from_millis(500));
        let rows = task("tickets_train").unwrap();
        for row in &rows[..5] {
            let begun = Instant::now();
            let answer = daemon.http.post("/v1/samples", "application/jsonl", row.as_bytes()).unwrap().json().unwrap();
            assert_eq!(answer["accepted"], 1);
            assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
        }
        assert!(!over.load(Ordering::Relaxed), "the heavy requests were through before the small ones began");
    });
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 5);
}

#[test]
fn what_little_input_makes_large_ends_at_a_bound_that_is_named() {
    let fixture = Fixture::new().unwrap().with(&["ingest.quarantine_source_bytes_max=100000", "ingest.turns_max=100"]);
    let daemon = fixture.start().unwrap();
    let post = |body: &[u8], path: &str| {
        let begun = Instant::now();
        let answer = daemon.http.post(path, "application/jsonl", body).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        answer
    };
    let blank = post(&gzip(&vec![b'\n'; 200 << 20]), "/v1/samples");
    assert_eq!(blank.status, 413, "{}", blank.body);
    assert!(blank.body.contains("blank lines"), "{}", blank.body);

    let row = task("tickets_train").unwrap()[0].clone() + "\n";
    let repeated = post(&gzip(row.repeat(40_000_000 / row.len()).as_bytes()), "/v1/samples");
    assert_eq!(repeated.status, 413, "{}", repeated.body);
    assert!(repeated.body.contains("ingest.compression_ratio_max"), "{}", repeated.body);
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 1, "the rows before the bound are kept");

    let bad = post(&gzip("{bad\n".repeat(20_000).as_bytes()), &format!("/v1/samples?source={}", "s".repeat(5000)));
    let report = refused(&bad);
    assert_eq!(report["rejected"], 20_000);
    assert!(report["unkept"].as_u64().unwrap() > 15_000, "{report}");
    let kept = quarantine(&fixture).unwrap();
    assert!(kept.iter().all(|line| line["file"].as_str().unwrap().len() <= 128));
    let bytes: u64 =
        files(&fixture.state().join("quarantine")).unwrap().iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes < 200_000, "{bytes} bytes in quarantine");

    let turn = r#"{"role":"assistant","content":"a"}"#;
    let turns = format!("{{\"messages\":[{}]}}", vec![turn; 101].join(","));
    let report = refused(&post(turns.as_bytes(), "/v1/samples"));
    assert!(report["rejections"][0]["reason"].as_str().unwrap().contains("ingest.turns_max"), "{report}");

    let far = refused(&post(b"{bad\n{bad\n", &format!("/v1/samples?first_line={}", u64::MAX)));
    assert_eq!(far["rejections"][1]["line"], u64::MAX);
    assert_eq!(daemon.http.get(&format!("/v1/cycles/{}", u64::MAX)).unwrap().status, 400);
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn numbers_keep_their_digits_and_keys_are_given_once() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let rows = [
        r#"{"text": "large id", "id": 340282366920938463463374607431768211455, "reference": 1.10}"#,
        r#"{"text": "large number", "metadata": {"n": 12345678901234567890123}}"#,
        r#"{"text": "one", "text": "two"}"#,
    ];
    let answer =
        daemon.http.post("/v1/samples", "application/jsonl", rows.join("\n").as_bytes()).unwrap().json().unwrap();
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&1.into(), &2.into()), "{answer}");
    let reason = |at: usize| answer["rejections"][at]["reason"].as_str().unwrap().to_owned();
    assert!(reason(0).contains("`metadata.n` is 12345678901234567890123"), "{}", reason(0));
    assert!(reason(1).contains("`text` is given twice"), "{}", reason(1));
}

#[test]
fn ends_of_compressed_files_are_read_as_gzip_reads_them() {
    let fixture = Fixture::new().unwrap();
    let rows = task("tickets_train").unwrap();
    let packed = |range: std::ops::Range<usize>| gzip(lines(&rows[range]).as_bytes());
    let run = |name: &str, bytes: &[u8]| {
        let file = fixture.file(name, bytes).unwrap();
        fixture.program.run(&["ingest".as_ref(), file.as_os_str()]).unwrap()
    };
    run("padded.jsonl.gz", &[packed(0..5), packed(5..10), vec![0; 512]].concat()).success().unwrap();
    assert!(quarantine(&fixture).unwrap().is_empty());
    let error = run("garbage.jsonl.gz", &[packed(10..15), b"garbage".to_vec()].concat()).failure().unwrap();
    assert!(error.contains("neither another nor zeros") && error.contains("5 accepted"), "{error}");
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 15);
    let kept = quarantine(&fixture).unwrap();
    assert_eq!((kept.len(), &kept[0]["kind"], &kept[0]["row"]), (1, &"source".into(), &Value::Null));
}

#[test]
fn refused_rows_are_listed_shown_and_taken_in_again() {
    let fixture = Fixture::new().unwrap();
    let strict = fixture.program.clone().with("ingest.turns_max=1");
    let turn = serde_json::json!({"role": "assistant", "content": "a"});
    let long = serde_json::json!({"messages": [turn, turn]}).to_string();
    let file = fixture.file("rows.jsonl", format!("{long}\n{{broken\n")).unwrap();
    assert_eq!(strict.run(&["ingest".as_ref(), file.as_os_str()]).unwrap().code, Some(4), "nothing was taken");

    let list = fixture.program.run(&["quarantine", "list", "--json"]).unwrap().success().unwrap();
    let list: Value = serde_json::from_str(&list).unwrap();
    let entry = &list["rows"][0];
    assert_eq!((&entry["source"], &entry["kinds"]["row"]), (&"rows.jsonl".into(), &2.into()), "{list}");
    let name = entry["name"].as_str().unwrap();
    let shown = fixture.program.run(&["quarantine", "show", name]).unwrap().success().unwrap();
    assert!(shown.contains("rows.jsonl:1: the row has 2 messages") && shown.contains("{broken"), "{shown}");

    // By the daemon, which holds the state directory.
    let daemon = fixture.start().unwrap();
    assert_eq!(daemon.http.get("/v1/quarantine").unwrap().json().unwrap(), list);
    let requeued = fixture.program.run(&["quarantine", "requeue", name]).unwrap().success().unwrap();
    assert!(requeued.contains("1 accepted, 0 duplicates, 1 refused still"), "{requeued}");
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 1);
    let left = quarantine(&fixture).unwrap();
    assert_eq!((left.len(), &left[0]["line"]), (1, &2.into()));
    let nothing =
        fixture.program.run(&["quarantine", "show", "20260101T000000Z-no-0.jsonl"]).unwrap().failure().unwrap();
    assert!(nothing.contains("quarantine list"), "{nothing}");
    drop(daemon);
}

#[test]
fn file_beyond_a_bound_goes_to_quarantine_and_back() {
    let fixture = Fixture::new().unwrap();
    let rows = task("tickets_train").unwrap();
    let bounded = Fixture::with(fixture, &["ingest.file.rows_max=10"]);
    bounded.drop_into_inbox("long.jsonl", lines(&rows[..20])).unwrap();
    let mut daemon = bounded.start().unwrap();
    await_stored(&bounded, &mut daemon, 10).unwrap();
    let kept = bounded.state().join("quarantine/files/long.jsonl");
    daemon.wait_for("the file in quarantine", INTAKE_LIMIT, || Ok(kept.exists().then_some(()))).unwrap();
    assert!(quarantine(&bounded).unwrap()[0]["reason"].as_str().unwrap().contains("`rows_max` in [ingest.file]"));
    drop(daemon);

    let wider = bounded.with(&["ingest.file.rows_max=100"]);
    let mut daemon = wider.start().unwrap();
    wider.program.run(&["quarantine", "requeue", "files/long.jsonl"]).unwrap().success().unwrap();
    await_stored(&wider, &mut daemon, 20).unwrap();
    daemon.wait_for("an empty quarantine", INTAKE_LIMIT, || Ok(quarantine(&wider)?.is_empty().then_some(()))).unwrap();
}

#[test]
fn links_and_pipes_in_the_inbox_are_left_alone_and_hold_nothing_up() {
    let fixture = Fixture::new().unwrap().with(&["ingest.settle_seconds=0", "ingest.rescan_seconds=1"]);
    let mut daemon = fixture.start().unwrap();
    let inbox = fixture.state().join("inbox");
    let secret = fixture.file("secret.jsonl", r#"{"text": "secret"}"#).unwrap();
    symlink(&secret, inbox.join("a-link.jsonl")).unwrap();
    assert!(Command::new("mkfifo").arg(inbox.join("b-pipe.jsonl")).status().unwrap().success());
    // Swapped for one another as fast as it goes, while files come.
    let rows = task("tickets_train").unwrap();
    for round in 0..50 {
        let regular = fixture.file("swapped", lines(&rows[round..=round])).unwrap();
        let place = inbox.join("c-swapped.jsonl");
        fs::rename(&regular, &place).unwrap();
        let link = inbox.join(".link");
        symlink(&secret, &link).unwrap();
        fs::rename(&link, &place).unwrap();
        fs::remove_file(&place).unwrap_or_default();
    }
    fixture.drop_into_inbox("d-good.jsonl", lines(&rows[100..110])).unwrap();
    let taken = inbox.join("taken/d-good.jsonl");
    daemon.wait_for("the good file", INTAKE_LIMIT, || Ok(taken.exists().then_some(()))).unwrap();
    assert!(inbox.join("a-link.jsonl").is_symlink() && inbox.join("b-pipe.jsonl").exists());
    let records = fixture.registry().unwrap().sample_counts().unwrap();
    assert!(records.iter().all(|count| count.domain.as_str() != "default"), "the linked row was taken: {records:?}");
}

#[test]
fn requests_that_were_acknowledged_before_a_kill_are_stored_once() {
    let fixture = Fixture::new().unwrap();
    let daemon = fixture.start().unwrap();
    let http = daemon.http;
    let acknowledged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for sender in 0..8 {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                for request in 0.. {
                    let row =
                        serde_json::json!({"prompt": format!("{sender} {request}"), "completion": "x"}).to_string();
                    match http.post("/v1/samples", "application/jsonl", row.as_bytes()) {
                        Ok(answer) if answer.status == 200 => acknowledged.lock().unwrap().push(row),
                        _ => break,
                    }
                }
            });
        }
        thread::sleep(Duration::from_secs(3));
        daemon.kill();
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let id = |row: &String| Sample::from_row(Row::parse(row).unwrap(), &Domain::default(), "http", 0).id;
    let ids: Vec<SampleId> = acknowledged.iter().map(id).collect();
    assert!(ids.len() > 8, "{} requests", ids.len());
    assert_eq!(fixture.registry().unwrap().known(&ids).unwrap().len(), ids.len(), "an acknowledged row is lost");
    // A segment that was written and not catalogued goes at the next start, and nothing is there twice.
    let daemon = fixture.start().unwrap();
    let again = daemon.http.post("/v1/samples", "application/jsonl", lines(&acknowledged).as_bytes()).unwrap();
    assert_eq!(again.json().unwrap()["duplicates"], ids.len());
    let registry = fixture.registry().unwrap();
    let (segments, rows, _) = registry.segment_totals().unwrap();
    assert!(segments < rows, "{segments} segments for {rows} requests of eight senders");
    assert_eq!(parquet_files(&fixture), segments);
}

/// How many segment files there are.
pub(crate) fn parquet_files(fixture: &Fixture) -> u64 {
    let days = fs::read_dir(fixture.state().join("segments")).unwrap();
    days.map(|day| files(&day.unwrap().path()).unwrap().len() as u64).sum()
}
