use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{DurableError, failed, failpoint, write_durably};

/// A file of lines that is only ever added to. What is added survives a power cut from the next [`sync`](Self::sync) on.
pub struct AppendFile {
    path: PathBuf,
    file: File,
    /// Whether something was added since the last sync.
    unsynced: bool,
}

impl AppendFile {
    /// Opens the file, and makes it where it is missing, name included. Of the lines that are there, those stay that `keep`
    /// says so of; what a crash tore off at the end is cut in any case, so that the next line begins a line. `keep` sees
    /// them in order.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn open(path: &Path, mut keep: impl FnMut(&str) -> bool) -> Result<Self, DurableError> {
        let old = match fs::read(path) {
            Ok(old) => Some(String::from_utf8_lossy(&old).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", path)(error)),
        };
        let text = old.as_deref().unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let kept: String = whole.split_inclusive('\n').filter(|line| keep(line.trim_end_matches('\n'))).collect();
        if old.as_deref() != Some(kept.as_str()) {
            write_durably(path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(failed("open", path))?;
        Ok(Self { path: path.to_owned(), file, unsynced: true })
    }

    /// Adds a line, which must not hold a line break.
    ///
    /// # Errors
    /// Where it cannot be written. A part of it may be there, which the next opening cuts.
    pub fn append(&mut self, line: &str) -> Result<(), DurableError> {
        self.unsynced = true;
        let written = failpoint::hit("append.write").and_then(|()| self.file.write_all(format!("{line}\n").as_bytes()));
        written.map_err(failed("append to", &self.path))
    }

    /// Makes all that was added durable.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn sync(&mut self) -> Result<(), DurableError> {
        if !self.unsynced {
            return Ok(());
        }
        let synced = failpoint::hit("append.sync").and_then(|()| self.file.sync_data());
        synced.map_err(failed("sync", &self.path))?;
        self.unsynced = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_end_is_cut_and_lines_are_kept_by_choice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/lines");
        let mut lines = AppendFile::open(&path, |_| true).unwrap();
        ["1", "2", "3"].iter().for_each(|line| lines.append(line).unwrap());
        lines.sync().unwrap();
        fs::write(&path, [fs::read(&path).unwrap(), b"4 to".to_vec()].concat()).unwrap();
        let mut lines = AppendFile::open(&path, |line| line != "2").unwrap();
        lines.append("5").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n3\n5\n");
    }

    #[test]
    fn a_file_that_is_whole_is_not_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        fs::write(&path, "1\n").unwrap();
        let made = fs::metadata(&path).unwrap().modified().unwrap();
        AppendFile::open(&path, |_| true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), made);
    }
}
