//! Where refused rows are kept: JSON lines, one file per source and time, each line with its kind, the source's name, the
//! line, the reason and the row itself or its beginning. What a source and the whole folder may take is bounded; beyond that,
//! rows are counted and not kept.

mod folder;
mod line;
mod read;
#[cfg(test)]
mod tests;

use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

use perennial_durable::{self as durable, DurableError, DurableFile};
use perennial_types::Fingerprint;

pub use self::{
    folder::{QuarantineFolder, QuarantineLimits},
    line::{QuarantineKind, QuarantineLine},
    read::{QuarantineEntry, QuarantineError, QuarantineReader},
};

/// A quarantine file that is written and durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineFile {
    /// Where it lies.
    pub path: PathBuf,
    /// How many lines it holds.
    pub rows: u64,
}

/// Collects the refused rows of one source. Nothing is left behind if it is dropped before [`finish`](Self::finish).
pub struct Quarantine {
    folder: QuarantineFolder,
    limits: QuarantineLimits,
    source: String,
    file: Option<DurableFile>,
    rows: u64,
    bytes: u64,
    dropped: u64,
}

impl Quarantine {
    /// For the rows of the source with this name. No file is made before the first row is refused.
    pub fn new(folder: &QuarantineFolder, source: &str, limits: QuarantineLimits) -> Self {
        let (folder, source) = (folder.clone(), source.to_owned());
        Self { folder, limits, source, file: None, rows: 0, bytes: 0, dropped: 0 }
    }

    /// Keeps a line, or counts it as dropped where there is no room for it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn push(&mut self, line: &QuarantineLine) -> Result<(), DurableError> {
        let failed = durable::failed("write to", self.folder.path());
        let mut text = match serde_json::to_vec(line) {
            Ok(text) => text,
            Err(error) => return Err(failed(io::Error::from(error))),
        };
        text.push(b'\n');
        let bytes = self.bytes.saturating_add(text.len() as u64);
        let fits = self.dropped == 0 && bytes <= self.limits.source_bytes_max;
        if !fits || !self.folder.has_room(bytes, self.limits.folder_bytes_max)? {
            self.dropped += 1;
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(DurableFile::create(self.folder.path())?),
        };
        file.write_all(&text).map_err(failed)?;
        self.bytes = bytes;
        self.rows += 1;
        Ok(())
    }

    /// How many lines were not kept for want of room: those after the first that did not fit.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Makes the file durable, or returns `None` where no line was kept. `source` is the fingerprint of the source's
    /// bytes: the file of an earlier reading of the same bytes, such as one that a crash cut short, is replaced, and removed
    /// where this time nothing was refused.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(self, source: &Fingerprint, now_ms: i64) -> Result<Option<QuarantineFile>, DurableError> {
        let path = self.folder.place(&self.source, source, now_ms)?;
        let Some(file) = self.file else {
            if self.dropped == 0 {
                remove(&self.folder, &path)?;
            }
            return Ok(None);
        };
        file.commit(&path)?;
        self.folder.note(&path, self.bytes);
        Ok(Some(QuarantineFile { path, rows: self.rows }))
    }

    /// Puts the lines that were kept in the place of an existing quarantine file, which goes where there are none.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn replace(self, entry: &QuarantineEntry) -> Result<(), DurableError> {
        let path = self.folder.path().join(&entry.name);
        let Some(file) = self.file else { return remove(&self.folder, &path) };
        file.commit(&path)?;
        self.folder.note(&path, self.bytes);
        Ok(())
    }
}

/// Removes a quarantine file, if it is there.
fn remove(folder: &QuarantineFolder, path: &std::path::Path) -> Result<(), DurableError> {
    match fs::remove_file(path) {
        Ok(()) => {
            folder.note(path, 0);
            durable::sync_folder(folder.path())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(durable::failed("remove", path)(error)),
    }
}
