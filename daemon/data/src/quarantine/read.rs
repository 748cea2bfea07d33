use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
};

use super::{
    QuarantineKind, QuarantineLine,
    folder::{QuarantineFolder, is_quarantine_file},
};

/// The longest line of a quarantine file that is read, in bytes: a row with every character escaped, and what goes with it.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Reasons of one file that are told apart; further ones are counted together.
const REASONS_MAX: usize = 8;

/// Under what further reasons are counted.
const OTHER_REASONS: &str = "other reasons";

/// A quarantine file that cannot be listed or read.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// No such file.
    #[error("there is no {0:?} in quarantine: `perennial quarantine list` names what there is")]
    Unknown(String),
    /// The system refuses.
    #[error("quarantine {name:?} cannot be read: {source}")]
    Read {
        /// The file, or the folder.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What a quarantine file holds, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// The file's name, by which it is shown and requeued.
    pub name: String,
    /// The source that its rows came by.
    pub source: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Lines by their kind.
    pub kinds: BTreeMap<QuarantineKind, u64>,
    /// The most frequent reasons first found, with the number of lines.
    pub reasons: BTreeMap<String, u64>,
}

impl QuarantineFolder {
    /// The names of all quarantine files, the oldest first.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, QuarantineError> {
        let failed = |source| QuarantineError::Read { name: self.path().display().to_string(), source };
        let entries = match fs::read_dir(self.path()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            names.extend(name.into_string().ok().filter(|name| is_quarantine_file(name)));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Reads one quarantine file, line by line. Lines that are damaged are passed over.
    ///
    /// # Errors
    /// Where there is no such file, or it cannot be read.
    pub fn open(&self, name: &str) -> Result<QuarantineReader, QuarantineError> {
        if !is_quarantine_file(name) || name.contains('/') {
            return Err(QuarantineError::Unknown(name.to_owned()));
        }
        match File::open(self.path().join(name)) {
            Ok(file) => Ok(QuarantineReader { name: name.to_owned(), lines: BufReader::new(file) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(QuarantineError::Unknown(name.to_owned())),
            Err(source) => Err(QuarantineError::Read { name: name.to_owned(), source }),
        }
    }

    /// What one quarantine file holds.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn entry(&self, name: &str) -> Result<QuarantineEntry, QuarantineError> {
        let mut entry = QuarantineEntry { name: name.to_owned(), ..Default::default() };
        let mut reader = self.open(name)?;
        entry.bytes = reader.lines.get_ref().metadata().map_or(0, |metadata| metadata.len());
        for line in &mut reader {
            let line = line?;
            *entry.kinds.entry(line.kind).or_default() += 1;
            let told_apart = entry.reasons.len() < REASONS_MAX || entry.reasons.contains_key(&line.reason);
            let reason = if told_apart { line.reason } else { OTHER_REASONS.to_owned() };
            *entry.reasons.entry(reason).or_default() += 1;
            entry.source = line.file;
        }
        Ok(entry)
    }
}

/// The lines of a quarantine file.
#[derive(Debug)]
pub struct QuarantineReader {
    name: String,
    lines: BufReader<File>,
}

impl Iterator for QuarantineReader {
    type Item = Result<QuarantineLine, QuarantineError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        loop {
            line.clear();
            match self.lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
                Err(source) => return Some(Err(QuarantineError::Read { name: self.name.clone(), source })),
                Ok(0) => return None,
                Ok(_) => {}
            }
            if let Ok(line) = serde_json::from_slice(&line) {
                return Some(Ok(line));
            }
        }
    }
}
