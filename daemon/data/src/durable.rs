//! Files that, after a crash, are whole or absent.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

/// A step on the way to a durable file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DurableError {
    /// What was tried, as a verb: `create`, `sync` …
    pub action: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Files are for their owner, and for a group that the owner lets into the folder.
const FILE_MODE: u32 = 0o640;

/// How the names of unfinished files end. They begin with a dot, so that watchers and globs pass them over.
const TEMPORARY_SUFFIX: &str = ".tmp";

/// Writes a file so that it is there whole or not at all, whatever happens: temporary name, fsync, rename, fsync of the
/// folder. Missing folders are made, and synced as well. An older file of this name is replaced.
///
/// # Errors
/// Where the system refuses a step; the temporary file is then removed.
pub fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let mut file = DurableFile::create(parent(path))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    file.commit(path)
}

/// Makes a folder and its missing parents, each synced into its own parent.
///
/// # Errors
/// Where the system refuses a step.
pub fn create_folder_durably(path: &Path) -> Result<(), DurableError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    create_folder_durably(above)?;
    match fs::create_dir(path) {
        Ok(()) => sync_folder(above),
        // Another writer was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed("create", path)(error)),
    }
}

/// Removes what unfinished writes of earlier processes left in a folder (not below it), and says how many files those
/// were. Only safe while nothing is being written there: at start.
///
/// # Errors
/// Where the system refuses; a missing folder is no error.
pub fn sweep_temporary(folder: &Path) -> Result<usize, DurableError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut swept = 0;
    for entry in entries {
        let path = entry.map_err(failed("list", folder))?.path();
        if is_temporary(&path) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            swept += 1;
        }
    }
    Ok(swept)
}

pub(crate) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX)
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), DurableError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync", path))
}

/// Gives an I/O error its action and path.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DurableError {
    let path = path.to_owned();
    move |source| DurableError { action, path, source }
}

/// A file that is written piece by piece under a temporary name and appears under its own once it is whole.
/// Dropped before [`commit`](Self::commit), it leaves nothing behind.
pub(crate) struct DurableFile {
    writer: BufWriter<File>,
    temporary: PathBuf,
    committed: bool,
}

impl DurableFile {
    /// Starts a file in this folder, which is made where it is missing.
    pub(crate) fn create(folder: &Path) -> Result<Self, DurableError> {
        // Several writers of one process may work in one folder at a time.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        create_folder_durably(folder)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}-{number}{TEMPORARY_SUFFIX}", process::id()));
        let options = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).clone();
        let file = options.open(&temporary).map_err(failed("create", &temporary))?;
        Ok(Self { writer: BufWriter::new(file), temporary, committed: false })
    }

    /// Makes the file durable under its name, which must lie on the same file system.
    pub(crate) fn commit(mut self, path: &Path) -> Result<(), DurableError> {
        self.writer.flush().map_err(failed("write", &self.temporary))?;
        self.writer.get_ref().sync_all().map_err(failed("sync", &self.temporary))?;
        fs::rename(&self.temporary, path).map_err(failed("rename a finished file to", path))?;
        self.committed = true;
        sync_folder(parent(path))
    }
}

impl Write for DurableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for DurableFile {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing to be done where even this fails: `sweep_temporary` removes it at the next start.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The folder that holds `path`; the current one for a bare name.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn file_appears_whole_and_replaces_the_older_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/file");
        write_durably(&path, b"one").unwrap();
        write_durably(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(path.parent().unwrap()), ["file"]);
    }

    #[test]
    fn unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = DurableFile::create(folder.path()).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()).len(), 1);
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn sweeping_takes_unfinished_files_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".7-0.tmp"), "half").unwrap();
        fs::write(folder.path().join("kept"), "whole").unwrap();
        assert_eq!(sweep_temporary(folder.path()).unwrap(), 1);
        assert_eq!(names(folder.path()), ["kept"]);
        assert_eq!(sweep_temporary(&folder.path().join("missing")).unwrap(), 0);
    }

    #[test]
    fn errors_name_the_step_and_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_durably(&file.join("below"), b"x").unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
