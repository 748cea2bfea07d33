//! Where refused rows are kept: JSON lines, one file per source and time, each line with the source's name, the line, the
//! reason and the row itself.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use perennial_types::Fingerprint;
use serde::{Deserialize, Serialize};

use crate::{
    calendar,
    durable::{self, DurableError, DurableFile},
    rows::{Excerpt, Rejected},
};

/// A line of a quarantine file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantineLine {
    /// The name of the file or channel that it came by.
    pub file: String,
    /// The line there, the first being 1; absent where the whole source was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The row, or its beginning.
    #[serde(flatten)]
    pub excerpt: Excerpt,
}

/// A quarantine file that is written and durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineFile {
    /// Where it lies.
    pub path: PathBuf,
    /// How many refused rows it holds.
    pub rows: u64,
}

/// Collects the refused rows of one source. Nothing is left behind if it is dropped before [`finish`](Self::finish).
pub struct Quarantine {
    folder: PathBuf,
    source: String,
    file: Option<DurableFile>,
    rows: u64,
}

impl Quarantine {
    /// For the rows of the source with this name. No file is made before the first row is refused.
    pub fn new(folder: &Path, source: &str) -> Self {
        Self { folder: folder.to_owned(), source: source.to_owned(), file: None, rows: 0 }
    }

    /// Keeps a refused row.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn push(&mut self, rejected: &Rejected) -> Result<(), DurableError> {
        let line = QuarantineLine {
            file: rejected.source.clone(),
            line: rejected.line,
            reason: rejected.reason.clone(),
            excerpt: rejected.excerpt.clone(),
        };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(DurableFile::create(&self.folder)?),
        };
        let written = serde_json::to_writer(&mut *file, &line).map_err(io::Error::from);
        written.and_then(|()| file.write_all(b"\n")).map_err(durable::failed("write to", &self.folder))?;
        self.rows += 1;
        Ok(())
    }

    /// Makes the file durable, or returns `None` where no row was refused. `source` is the fingerprint of the source's
    /// bytes: the file of an earlier reading of the same bytes, such as one that a crash cut short, is replaced.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(self, source: &Fingerprint, now_ms: i64) -> Result<Option<QuarantineFile>, DurableError> {
        let Some(file) = self.file else { return Ok(None) };
        let ending = format!("-{}-{}.jsonl", slug(&self.source), source.short(FINGERPRINT_DIGITS));
        let path = match earlier(&self.folder, &ending)? {
            Some(path) => path,
            None => self.folder.join(format!("{}{ending}", calendar::compact(now_ms))),
        };
        file.commit(&path)?;
        Ok(Some(QuarantineFile { path, rows: self.rows }))
    }
}

const FINGERPRINT_DIGITS: usize = 12;

/// The file whose name has this ending, the first by name should there be several.
fn earlier(folder: &Path, ending: &str) -> Result<Option<PathBuf>, DurableError> {
    let mut found: Option<PathBuf> = None;
    for entry in fs::read_dir(folder).map_err(durable::failed("list", folder))? {
        let path = entry.map_err(durable::failed("list", folder))?.path();
        let matches = path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending));
        if matches && found.as_ref().is_none_or(|first| path < *first) {
            found = Some(path);
        }
    }
    Ok(found)
}

/// A source's name as far as it can stand in a file name.
fn slug(source: &str) -> String {
    const CHARS_MAX: usize = 64;
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '_' };
    source.chars().take(CHARS_MAX).map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(line: u64) -> Rejected {
        Rejected {
            source: "../in box/a.jsonl".into(),
            line: Some(line),
            reason: "no".into(),
            excerpt: Excerpt { text: "{\"a\n\u{1}".into(), base64: false, row_bytes: 5, cut: false },
        }
    }

    fn quarantine(folder: &Path, rows: u64, now_ms: i64) -> QuarantineFile {
        let mut quarantine = Quarantine::new(folder, "../in box/a.jsonl");
        (1..=rows).for_each(|line| quarantine.push(&rejected(line)).unwrap());
        quarantine.finish(&Fingerprint::of(b"source"), now_ms).unwrap().unwrap()
    }

    #[test]
    fn lines_read_back_as_they_were_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = quarantine(folder.path(), 2, 0);
        let text = fs::read_to_string(&file.path).unwrap();
        let lines: Vec<QuarantineLine> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((file.rows, lines.len()), (2, 2));
        assert_eq!((lines[1].line, &lines[1].excerpt), (Some(2), &rejected(2).excerpt));
        assert_eq!(
            text.lines().next().unwrap(),
            r#"{"file":"../in box/a.jsonl","line":1,"reason":"no","row":"{\"a\n\u0001","row_bytes":5}"#
        );
    }

    #[test]
    fn second_reading_of_the_same_source_replaces_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = quarantine(folder.path(), 2, 0);
        let second = quarantine(folder.path(), 3, 86_400_000);
        assert_eq!(first.path, second.path);
        assert_eq!(fs::read_to_string(&second.path).unwrap().lines().count(), 3);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_refused_or_nothing_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Quarantine::new(folder.path(), "a").finish(&Fingerprint::of(b""), 0).unwrap(), None);
        Quarantine::new(folder.path(), "a").push(&rejected(1)).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
