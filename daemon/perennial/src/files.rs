//! Files that others wrote: opened and moved away, whatever is done to them meanwhile.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, Metadata},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{MetadataExt as _, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use perennial_durable::{DurableError, create_folder_durably, failpoint, parent, sync_folder};

/// The longest file name that file systems take, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Numbers that are tried behind a name that is taken; then comes one that nobody has.
const NUMBERS_MAX: u32 = 99;

/// A file and the state it is in: another one is another file, or has changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    /// What the system says of it.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Self { device: metadata.dev(), inode: metadata.ino(), bytes: metadata.len(), modified }
    }

    /// The file's size.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is the same file, changed or not.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// Opens a regular file for reading, and nothing else: no link is followed, and no FIFO or device that was put in its place
/// is waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, Identity)> {
    let file = File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    Ok((file, Identity::of(&metadata)))
}

/// Moves the file that was opened at this path into a folder, under its own name or, where that is taken, with a number behind
/// it. Durable when it returns.
///
/// # Errors
/// Where the system refuses; where another file lies at the path by now, it stays there.
pub(crate) fn move_into(path: &Path, opened: &File, folder: &Path) -> io::Result<PathBuf> {
    create_folder_durably(folder).map_err(system)?;
    let identity = Identity::of(&opened.metadata()?);
    if !identity.is_same_file(&Identity::of(&path.symlink_metadata()?)) {
        return Err(replaced());
    }
    let place = free_place(folder, path.file_name().unwrap_or_default());
    match failpoint::hit("inbox.move").and_then(|()| fs::rename(path, &place)) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy_across(path, opened, &place)?,
        Err(error) => return Err(error),
        // Between the look and the move somebody may have put another file there.
        Ok(()) if !identity.is_same_file(&Identity::of(&place.symlink_metadata()?)) => {
            let back = path.parent().map(|inbox| free_place(inbox, path.file_name().unwrap_or_default()));
            fs::rename(&place, back.as_deref().unwrap_or(path))?;
            return Err(replaced());
        }
        Ok(()) => {}
    }
    sync_folder(folder).map_err(system)?;
    sync_folder(parent(path)).map_err(system)?;
    Ok(place)
}

fn replaced() -> io::Error {
    io::Error::other("another file lies in its place by now")
}

/// A path in the folder at which nothing is.
fn free_place(folder: &Path, name: &OsStr) -> PathBuf {
    let is_free = |place: &PathBuf| place.symlink_metadata().is_err();
    let numbered = (1..=NUMBERS_MAX).map(|number| folder.join(with_ending(name, &format!(".{number}"))));
    let mut places = std::iter::once(folder.join(with_ending(name, ""))).chain(numbered);
    places.find(is_free).unwrap_or_else(|| folder.join(with_ending(name, &format!(".{}", ulid::Ulid::new()))))
}

/// The name with an ending, cut so that both together are no longer than a name may be.
fn with_ending(name: &OsStr, ending: &str) -> OsString {
    let name = name.as_bytes();
    let mut kept = name.len().min(NAME_BYTES_MAX - ending.len());
    // Not through a character of UTF-8.
    while kept > 0 && kept < name.len() && name.get(kept).is_some_and(|byte| byte & 0xc0 == 0x80) {
        kept -= 1;
    }
    let mut bytes = name.get(..kept).unwrap_or_default().to_vec();
    bytes.extend_from_slice(ending.as_bytes());
    OsString::from_vec(bytes)
}

fn copy_across(path: &Path, opened: &File, place: &Path) -> io::Result<()> {
    let partial = place.with_file_name(format!(".{}.tmp", ulid::Ulid::new()));
    let copied = copy(opened, &partial).and_then(|()| fs::rename(&partial, place));
    if copied.is_err() {
        let _ = fs::remove_file(&partial);
    }
    copied?;
    // The copy must be there for good before the file goes.
    sync_folder(parent(place)).map_err(system)?;
    fs::remove_file(path)
}

fn copy(mut opened: &File, to: &Path) -> io::Result<()> {
    io::Seek::rewind(&mut opened)?;
    let mut copy = File::options().create_new(true).write(true).open(to)?;
    io::copy(&mut opened, &mut copy)?;
    copy.sync_all()
}

/// What the system said, for those who have the path already.
fn system(error: DurableError) -> io::Error {
    error.source
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(path: &Path, folder: &Path) -> io::Result<PathBuf> {
        move_into(path, &open_regular(path)?.0, folder)
    }

    #[test]
    fn moving_never_overwrites_and_names_stay_within_their_length() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        let long = OsString::from_vec("ü".repeat(127).into_bytes());
        for name in [OsStr::new("a.jsonl"), &long, OsStr::from_bytes(b"not \xff text")] {
            let places = ["one", "two", "three"].map(|content| {
                let file = folder.path().join(name);
                fs::write(&file, content).unwrap();
                let place = moved(&file, &taken).unwrap();
                assert!(!file.exists());
                assert_eq!(fs::read_to_string(&place).unwrap(), content);
                place
            });
            assert_eq!(places[0], taken.join(name));
            assert_ne!(places[1], places[2]);
        }
        assert_eq!(fs::read_to_string(taken.join("a.jsonl.1")).unwrap(), "two");
    }

    #[test]
    fn a_name_that_is_taken_very_often_still_finds_a_place() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=NUMBERS_MAX {
            let name = if number == 0 { "a".to_owned() } else { format!("a.{number}") };
            fs::write(folder.path().join(name), "").unwrap();
        }
        let place = free_place(folder.path(), OsStr::new("a"));
        assert!(place.file_name().unwrap().len() > 20 && !place.exists(), "{place:?}");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        fs::write(&target, "secret").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let fifo = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        for path in [&link, &fifo, &folder.path().to_owned(), &Path::new("/dev/zero").to_owned()] {
            assert!(open_regular(path).is_err(), "{}", path.display());
        }
        open_regular(&target).unwrap();
    }

    #[test]
    fn a_file_that_took_the_place_of_the_opened_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "old").unwrap();
        let (opened, _) = open_regular(&path).unwrap();
        let other = folder.path().join("other");
        fs::write(&other, "new").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(move_into(&path, &opened, &folder.path().join("taken")).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn a_copy_to_another_device_is_whole_or_absent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "rows").unwrap();
        let (opened, _) = open_regular(&path).unwrap();
        copy_across(&path, &opened, &folder.path().join("missing/a.jsonl")).unwrap_err();
        assert!(path.exists());
        copy_across(&path, &opened, &folder.path().join("b.jsonl")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("b.jsonl")).unwrap(), "rows");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
