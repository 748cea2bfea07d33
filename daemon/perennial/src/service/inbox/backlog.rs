use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use super::scan::is_unfinished;
use crate::telemetry::Backlog;

/// So many files are looked at; what lies there is a backlog long before.
const FILES_MAX: usize = 10_000;

/// What lies in the inbox, finished and not taken yet. A file counts from when it was moved in (its status change time), for
/// whoever copies may keep the time of writing.
///
/// # Errors
/// Where the folder cannot be read.
pub(in crate::service) fn backlog(inbox: &Path) -> io::Result<Backlog> {
    let entries = fs::read_dir(inbox)?.filter_map(Result::ok).filter(|entry| !is_unfinished(&entry.file_name()));
    // One that went away since is taken.
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file).take(FILES_MAX);
    Ok(files.fold(Backlog::default(), |before, file| Backlog {
        files: before.files + 1,
        oldest_seconds: Some(before.oldest_seconds.map_or(file.ctime(), |oldest| oldest.min(file.ctime()))),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_files_count_from_when_they_came() {
        let inbox = tempfile::tempdir().unwrap();
        assert_eq!(backlog(inbox.path()).unwrap(), Backlog::default());
        for name in ["a.jsonl", "b.jsonl", "c.tmp", ".hidden"] {
            fs::write(inbox.path().join(name), "{}").unwrap();
        }
        fs::create_dir(inbox.path().join("taken")).unwrap();
        let came = fs::metadata(inbox.path().join("a.jsonl")).unwrap().ctime();
        let seen = backlog(inbox.path()).unwrap();
        assert_eq!((seen.files, seen.oldest_seconds), (2, Some(came)));
        assert!(backlog(&inbox.path().join("nothing")).is_err());
    }
}
