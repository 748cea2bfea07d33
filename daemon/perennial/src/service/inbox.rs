//! The watched folder: which of its files may be taken, and where they go afterwards.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Endings of files that somebody is still writing.
const UNFINISHED_ENDINGS: [&str; 2] = [".tmp", ".part"];

/// What a look at the inbox found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Files to take, by name.
    pub(crate) ready: Vec<PathBuf>,
    /// How long until the youngest other file has settled.
    pub(crate) settles_in: Option<Duration>,
}

/// Looks at the inbox. A file is ready when it was renamed in (`renamed`), or has not changed for `settle`.
pub(crate) fn scan(inbox: &Path, renamed: &BTreeSet<PathBuf>, settle: Duration, now: SystemTime) -> io::Result<Scan> {
    let mut scan = Scan::default();
    for entry in fs::read_dir(inbox)? {
        let entry = entry?;
        // A file that went away since is nobody's problem; `metadata` of an entry does not follow links.
        let Ok(metadata) = entry.metadata() else { continue };
        let path = entry.path();
        if !metadata.is_file() || is_unfinished(&path) {
            continue;
        }
        let age = now.duration_since(metadata.modified()?).unwrap_or_default();
        match settle.checked_sub(age).filter(|left| !left.is_zero()) {
            Some(left) if !renamed.contains(&path) => {
                scan.settles_in = Some(scan.settles_in.map_or(left, |soonest| soonest.max(left)));
            }
            _ => scan.ready.push(path),
        }
    }
    scan.ready.sort();
    Ok(scan)
}

fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || UNFINISHED_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Moves a file into a folder, under its own name or, where that is taken, with a number behind it. Durable when it returns.
pub(crate) fn move_into(file: &Path, folder: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let names = std::iter::once(name.clone()).chain((1_u64..).map(|number| format!("{name}.{number}")));
    let free = names.map(|name| folder.join(name)).find(|place| place.symlink_metadata().is_err());
    let place = free.ok_or_else(|| io::Error::other("no name is free"))?;
    match fs::rename(file, &place) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_across(file, &place)?,
        renamed => renamed?,
    }
    sync_folder(folder)?;
    file.parent().map_or(Ok(()), sync_folder)?;
    Ok(place)
}

fn copy_across(file: &Path, place: &Path) -> io::Result<()> {
    let partial = place.with_extension("part");
    fs::copy(file, &partial)?;
    File::open(&partial)?.sync_all()?;
    fs::rename(&partial, place)?;
    fs::remove_file(file)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn names(scan: &Scan) -> Vec<String> {
        scan.ready.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn only_settled_or_renamed_files_are_taken() {
        let inbox = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl.gz", ".hidden", "c.jsonl.tmp", "d.part"] {
            fs::write(inbox.path().join(name), "{}").unwrap();
        }
        fs::create_dir(inbox.path().join("taken")).unwrap();
        let now = SystemTime::now();
        let young = scan(inbox.path(), &BTreeSet::new(), SETTLE, now).unwrap();
        assert!(young.ready.is_empty());
        assert!(young.settles_in.unwrap() <= SETTLE);
        let renamed = BTreeSet::from([inbox.path().join("b.jsonl")]);
        assert_eq!(names(&scan(inbox.path(), &renamed, SETTLE, now).unwrap()), ["b.jsonl"]);
        let later = scan(inbox.path(), &BTreeSet::new(), SETTLE, now + SETTLE).unwrap();
        assert_eq!(names(&later), ["a.jsonl.gz", "b.jsonl"]);
        assert_eq!(later.settles_in, None);
    }

    #[test]
    fn moving_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        for content in ["one", "two"] {
            let file = folder.path().join("a.jsonl");
            fs::write(&file, content).unwrap();
            move_into(&file, &taken).unwrap();
            assert!(!file.exists());
        }
        assert_eq!(fs::read_to_string(taken.join("a.jsonl")).unwrap(), "one");
        assert_eq!(fs::read_to_string(taken.join("a.jsonl.1")).unwrap(), "two");
    }
}
