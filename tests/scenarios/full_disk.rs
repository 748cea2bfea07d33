//! A disk that is full: told, nothing lost, and over once there is room.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use perennial_tests::{Fixture, task};

use crate::{
    intake::parquet_files,
    support::{INTAKE_LIMIT, lines, stored},
};

/// A small file system in memory, while it lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "none"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(path.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l".as_ref(), self.0.as_os_str()]).status();
    }
}

#[test]
fn full_disk_is_told_loses_nothing_and_is_over_when_there_is_room() {
    let fixture = Fixture::new().unwrap();
    let Some(_disk) = SmallDisk::mount(fixture.state()) else {
        eprintln!("skipped: only root can mount a small disk");
        return;
    };
    let mut daemon = fixture.start().unwrap();
    let rows = task("tickets_train").unwrap();
    let post = |rows: &[String]| daemon.http.post("/v1/samples", "application/jsonl", lines(rows).as_bytes()).unwrap();
    assert_eq!(post(&rows[..5]).status, 200);

    let filler = fixture.state().join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    let answer = post(&rows[5..10]);
    assert_eq!(answer.status, 507, "{}", answer.body);
    let ready = daemon.http.get("/ready").unwrap();
    assert!(ready.status == 503 && ready.body.contains("disk is full"), "{ready:?}");
    let unfinished = fixture.file("waiting.jsonl", lines(&rows[10..20])).unwrap();
    // What the daemon had begun to write it has given back meanwhile.
    while file.write_all(&[0; 4096]).is_ok() {}
    assert!(fs::copy(&unfinished, fixture.state().join("inbox/.waiting")).is_err(), "there is room left");

    drop(file);
    fs::remove_file(&filler).unwrap();
    let http = daemon.http;
    daemon.wait_for("readiness", INTAKE_LIMIT, || Ok((http.get("/ready")?.status == 200).then_some(()))).unwrap();
    let post = |rows: &[String]| http.post("/v1/samples", "application/jsonl", lines(rows).as_bytes()).unwrap();
    let again = post(&rows[..10]).json().unwrap();
    assert_eq!((&again["accepted"], &again["duplicates"]), (&5.into(), &5.into()), "nothing was half acknowledged");
    assert_eq!(stored(&fixture.registry().unwrap()).unwrap(), 10);
    let (segments, _, _) = fixture.registry().unwrap().segment_totals().unwrap();
    assert_eq!(parquet_files(&fixture), segments, "a segment lies there that nobody reads");
}
