use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use crate::files::Identity;

/// Endings of files that somebody is still writing.
const UNFINISHED_ENDINGS: [&[u8]; 2] = [b".tmp", b".part"];

/// Files that one look takes; where there are more, the next look follows at once.
pub(super) const SCAN_FILES_MAX: usize = 1000;

/// Files with a time stamp in the future that are watched for changes; further ones wait until some of these are taken.
const FUTURE_FILES_MAX: usize = 10_000;

/// What a look at the inbox found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Files to take, by name: the first [`SCAN_FILES_MAX`].
    pub(super) ready: Vec<PathBuf>,
    /// Whether there are more than that.
    pub(super) more: bool,
    /// How long until the youngest other file has settled.
    pub(super) settles_in: Option<Duration>,
}

/// Looks at the inbox. What it keeps from one look to the next: since when files stand still whose time stamp lies in the
/// future (a clock that was set back, a copy that keeps times), so that their age cannot be told from it.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    still: BTreeMap<OsString, (Identity, Instant)>,
}

impl Scanner {
    /// A file is ready when it was renamed in (`renamed`), or has not changed for `settle`. Those that `skip` names are passed
    /// over.
    pub(super) fn scan(
        &mut self,
        inbox: &Path,
        renamed: &BTreeSet<PathBuf>,
        settle: Duration,
        (now, instant): (SystemTime, Instant),
        skip: impl Fn(&OsStr, &Identity) -> bool,
    ) -> io::Result<Scan> {
        let mut scan = Scan::default();
        let (mut ready, mut still) = (BTreeSet::new(), BTreeMap::new());
        for entry in fs::read_dir(inbox)? {
            // A file that went away since is nobody's problem; `metadata` of an entry does not follow links.
            let Ok(entry) = entry else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            let name = entry.file_name();
            if !metadata.is_file() || is_unfinished(&name) {
                continue;
            }
            let identity = Identity::of(&metadata);
            if skip(&name, &identity) {
                continue;
            }
            let age = match metadata.modified().map(|modified| now.duration_since(modified)) {
                Ok(Ok(age)) => age,
                Ok(Err(_)) | Err(_) => {
                    let since = match self.still.get(&name) {
                        Some((before, since)) if *before == identity => *since,
                        _ => instant,
                    };
                    if still.len() < FUTURE_FILES_MAX {
                        still.insert(name.clone(), (identity, since));
                    }
                    instant.duration_since(since)
                }
            };
            let path = inbox.join(&name);
            match settle.checked_sub(age).filter(|left| !left.is_zero()) {
                Some(left) if !renamed.contains(&path) => {
                    scan.settles_in = Some(scan.settles_in.map_or(left, |latest| latest.max(left)));
                }
                _ => {
                    ready.insert(path);
                    if ready.len() > SCAN_FILES_MAX {
                        ready.pop_last();
                        scan.more = true;
                    }
                }
            }
        }
        self.still = still;
        scan.ready = ready.into_iter().collect();
        Ok(scan)
    }
}

pub(super) fn is_unfinished(name: &OsStr) -> bool {
    let name = name.as_bytes();
    name.starts_with(b".") || UNFINISHED_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);

    fn names(scan: &Scan) -> Vec<String> {
        scan.ready.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    fn scan(inbox: &Path, renamed: &BTreeSet<PathBuf>, now: SystemTime) -> Scan {
        Scanner::default().scan(inbox, renamed, SETTLE, (now, Instant::now()), |_, _| false).unwrap()
    }

    #[test]
    fn only_settled_or_renamed_files_are_taken() {
        let inbox = tempfile::tempdir().unwrap();
        for name in ["b.jsonl", "a.jsonl.gz", ".hidden", "c.jsonl.tmp", "d.part"] {
            fs::write(inbox.path().join(name), "{}").unwrap();
        }
        fs::create_dir(inbox.path().join("taken")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", inbox.path().join("link")).unwrap();
        let now = SystemTime::now();
        let young = scan(inbox.path(), &BTreeSet::new(), now);
        assert!(young.ready.is_empty());
        assert!(young.settles_in.unwrap() <= SETTLE);
        let renamed = BTreeSet::from([inbox.path().join("b.jsonl")]);
        assert_eq!(names(&scan(inbox.path(), &renamed, now)), ["b.jsonl"]);
        let later = scan(inbox.path(), &BTreeSet::new(), now + SETTLE);
        assert_eq!(names(&later), ["a.jsonl.gz", "b.jsonl"]);
        assert_eq!(later.settles_in, None);
    }

    #[test]
    fn file_from_the_future_is_taken_once_it_stands_still() {
        let inbox = tempfile::tempdir().unwrap();
        let path = inbox.path().join("a.jsonl");
        fs::write(&path, "{}").unwrap();
        let year = Duration::from_secs(365 * 86_400);
        fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::now() + year).unwrap();
        let mut scanner = Scanner::default();
        let start = Instant::now();
        let mut look = |after: Duration| {
            let times = (SystemTime::now(), start + after);
            scanner.scan(inbox.path(), &BTreeSet::new(), SETTLE, times, |_, _| false).unwrap()
        };
        assert_eq!(look(Duration::ZERO).settles_in, Some(SETTLE));
        fs::File::options().append(true).open(&path).unwrap().set_modified(SystemTime::now() + year * 2).unwrap();
        assert_eq!(look(SETTLE).settles_in, Some(SETTLE), "it changed");
        assert_eq!(names(&look(SETTLE * 2)), ["a.jsonl"]);
    }

    #[test]
    fn one_look_takes_a_bounded_number_of_files_by_name() {
        let inbox = tempfile::tempdir().unwrap();
        for number in (0..SCAN_FILES_MAX + 5).rev() {
            fs::write(inbox.path().join(format!("{number:06}")), "").unwrap();
        }
        let found = scan(inbox.path(), &BTreeSet::new(), SystemTime::now() + SETTLE);
        assert_eq!((found.ready.len(), found.more), (SCAN_FILES_MAX, true));
        assert_eq!(names(&found)[..2], ["000000", "000001"]);
    }
}
