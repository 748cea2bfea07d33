use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{DurableError, create_folder_durably, failed, failpoint, parent, sweep::TEMPORARY_SUFFIX, sync_folder};

/// Files are for their owner, and for a group that the owner lets into the folder.
const FILE_MODE: u32 = 0o640;

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

/// A file that is written piece by piece under a temporary name and appears under its own once it is whole.
/// Dropped before [`commit`](Self::commit), it leaves nothing behind.
pub struct DurableFile {
    writer: BufWriter<File>,
    temporary: PathBuf,
    committed: bool,
}

impl DurableFile {
    /// Starts a file in this folder, which is made where it is missing.
    ///
    /// # Errors
    /// Where the folder or the file cannot be made.
    pub fn create(folder: &Path) -> Result<Self, DurableError> {
        // Several writers of one process may work in one folder at a time.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        create_folder_durably(folder)?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!(".{}-{number}{TEMPORARY_SUFFIX}", process::id()));
        let made = failpoint::hit("durable.create")
            .and_then(|()| OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&temporary));
        let file = made.map_err(failed("create", &temporary))?;
        Ok(Self { writer: BufWriter::new(file), temporary, committed: false })
    }

    /// Makes the file durable under its name, which must lie on the same file system.
    ///
    /// # Errors
    /// Where the system refuses a step; the temporary file is then removed.
    pub fn commit(mut self, path: &Path) -> Result<(), DurableError> {
        let written = failpoint::hit("durable.write").and_then(|()| self.writer.flush());
        written.map_err(failed("write", &self.temporary))?;
        let synced = failpoint::hit("durable.sync").and_then(|()| self.writer.get_ref().sync_all());
        synced.map_err(failed("sync", &self.temporary))?;
        let renamed = failpoint::hit("durable.rename").and_then(|()| fs::rename(&self.temporary, path));
        renamed.map_err(failed("rename a finished file to", path))?;
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
    fn errors_name_the_step_and_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write_durably(&file.join("below"), b"x").unwrap_err();
        assert!(error.to_string().contains("file"), "{error}");
    }
}
