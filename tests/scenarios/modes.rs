use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use perennial_tests::{Fixture, task};

use crate::support::lines;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Runs a command with a mask that takes nothing away, as some shells and services do.
fn unmasked(fixture: &Fixture, arguments: &[&str]) {
    let plain = fixture.program.command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    let output = shell.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn other_users_can_read_nothing_and_production_what_is_published() {
    let fixture = Fixture::new().unwrap().with(&[
        "train.steps_max=2",
        "gate.require=\"not_worse\"",
        "gate.margin=1.0",
        "gate.margin_relative=0",
    ]);
    let rows = lines(&task("tickets_train").unwrap()[..60]) + "{broken\n";
    let rows = fixture.file("rows.jsonl", rows).unwrap();
    unmasked(&fixture, &["ingest", rows.to_str().unwrap()]);
    unmasked(&fixture, &["cycle"]);

    let state = fixture.state();
    assert_eq!(mode(state), 0o750, "others do not get in at all");
    for own in ["segments", "quarantine", "scores"] {
        assert_eq!(mode(&state.join(own)), 0o700, "{own}");
    }
    for own in ["perennial.db", "lock"] {
        assert_eq!(mode(&state.join(own)) & 0o037, 0, "{own}");
    }
    let mut todo: Vec<PathBuf> = vec![state.join("segments"), state.join("quarantine"), state.join("inbox")];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            assert_eq!(mode(&path) & 0o007, 0, "{}", path.display());
        }
    }
    let published = state.join("export/current").canonicalize().unwrap();
    let group_reads = |path: &Path| mode(path) & 0o040 != 0;
    for folder in [&state.join("export"), &state.join("adapters"), &published] {
        assert_eq!(mode(folder), 0o750, "{}", folder.display());
    }
    let mut files = fs::read_dir(published).unwrap().map(|entry| entry.unwrap().path());
    assert!(files.all(|file| group_reads(&file)));
}
