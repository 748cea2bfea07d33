//! Rows from JSON Lines: plain, gzip or zstd (told by their first bytes, not by a name), from files or any [`Read`],
//! streamed with bounded memory, time and output. What cannot be read is handed on as a [`Rejected`], and reading goes on.

mod excerpt;
mod fault;
mod gzip;
mod judge;
mod limits;
mod lines;
mod name;
mod sniff;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use perennial_types::{Fingerprint, Row};

pub use self::{
    excerpt::Excerpt,
    fault::{FaultKind, ReadError, Rejected, SourceFault},
    judge::judge,
    limits::{BLANK_LINES_MAX, EMPTY_MEMBERS_MAX, EXCERPT_BYTES_MAX, RATIO_FREE_BYTES, ROW_BYTES_MAX, ReadLimits},
    name::source_name,
    sniff::is_compressed,
};
use self::{limits::Bound, lines::Raw, sniff::Peeked, source::Source};

/// What a line of a source turned out to be. Blank lines are passed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A good row.
    Row {
        /// Its line, the first being 1.
        line: u64,
        /// What it holds.
        row: Box<Row>,
    },
    /// A line that is no row.
    Rejected(Rejected),
    /// The source ends here, though not at its end.
    Fault(SourceFault),
}

/// The rows of a source, in order. After a [`ReadError`] or a [`SourceFault`] there are no more.
pub struct Rows<R: Read> {
    name: String,
    reader: BufReader<Peeked<Source<R>>>,
    buffer: Vec<u8>,
    line: u64,
    rows: u64,
    blank: u64,
    limits: ReadLimits,
    /// The reason why the whole source is refused, until it has been told.
    refusal: Option<String>,
    done: bool,
}

impl Rows<File> {
    /// Reads a file. It is called by its own name, without the folder.
    ///
    /// # Errors
    /// Where the file cannot be opened or read.
    pub fn open(path: &Path, limits: ReadLimits) -> Result<Self, ReadError> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let file = File::open(path).map_err(|error| ReadError { origin: path.display().to_string(), error })?;
        Self::read(name, file, limits)
    }
}

impl<R: Read> Rows<R> {
    /// Reads from anywhere, such as the body of a request; `name` says where in reasons and quarantine files.
    ///
    /// # Errors
    /// Where the first bytes cannot be read.
    pub fn read(name: impl Into<String>, reader: R, limits: ReadLimits) -> Result<Self, ReadError> {
        let name = name.into();
        let source = Source::open(reader, &limits).map_err(|error| ReadError { origin: name.clone(), error })?;
        let mut decoded = Peeked::new(source);
        decoded.skip_mark();
        let refusal = sniff::refusal(decoded.head());
        let reader = BufReader::with_capacity(sniff::HEAD_BYTES, decoded);
        Ok(Self { name, reader, buffer: Vec::new(), line: 0, rows: 0, blank: 0, limits, refusal, done: false })
    }

    /// The fingerprint of the source's bytes as they came in (compressed, if they were), which is what `b3sum` prints for
    /// the file, and their number. Reads what is left, without a bound in time.
    ///
    /// # Errors
    /// Where the rest cannot be read.
    pub fn finish(mut self) -> Result<(Fingerprint, u64), ReadError> {
        let drained = match self.reader.get_mut().rest.tap() {
            Some(tap) => tap.drain(),
            None => Err(io::Error::other("reading broke off")),
        };
        drained.map_err(|error| ReadError { origin: self.name, error })
    }

    /// The failure of a read, either of the source itself or of its decompression, or a bound that was reached.
    fn ended_by(&mut self, error: io::Error) -> Result<Line, ReadError> {
        let source = &mut self.reader.get_mut().rest;
        let failed = source.tap().is_none_or(|tap| tap.failed);
        let error = ReadError { origin: self.name.clone(), error };
        if error.is_stop() || (failed && fault::bound(&error.error).is_none()) {
            return Err(error);
        }
        let (kind, reason) = fault::described(&error.error, source.compression(), self.line);
        Ok(Line::Fault(SourceFault { source: self.name.clone(), line: Some(self.line), reason, excerpt: None, kind }))
    }

    fn rejected(&self, reason: String, row_bytes: u64) -> Line {
        let excerpt = Excerpt::new(&self.buffer, row_bytes, self.limits.excerpt_bytes_max);
        Line::Rejected(Rejected { source: self.name.clone(), line: self.line, reason, excerpt })
    }

    fn refuse_source(&mut self, reason: String) -> Line {
        self.buffer = self.reader.get_ref().head().to_vec();
        let mut excerpt = Excerpt::new(&self.buffer, self.buffer.len() as u64, self.limits.excerpt_bytes_max);
        // Nothing beyond the head was looked at, nor will it be.
        excerpt.cut |= self.buffer.len() == sniff::HEAD_BYTES;
        let (source, kind) = (self.name.clone(), FaultKind::NotRows);
        Line::Fault(SourceFault { source, line: None, reason, excerpt: Some(excerpt), kind })
    }

    /// The next line that is not blank, whatever it is, or the end.
    fn next_raw(&mut self) -> Raw {
        loop {
            let raw = lines::next_line(&mut self.reader, &mut self.buffer, self.limits.row_bytes_max);
            self.line += 1;
            match raw {
                Raw::Line if self.buffer.iter().all(u8::is_ascii_whitespace) => self.blank += 1,
                other => return other,
            }
            if self.blank > BLANK_LINES_MAX {
                return Raw::Failed(Bound::BlankLines.into());
            }
        }
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if let Some(reason) = self.refusal.take() {
            self.done = true;
            return Some(Ok(self.refuse_source(reason)));
        }
        let raw = self.next_raw();
        self.rows += 1;
        let line = match raw {
            Raw::End => {
                self.done = true;
                return None;
            }
            _ if self.rows > self.limits.rows_max => {
                self.done = true;
                let bound = Bound::Rows { max: self.limits.rows_max, section: self.limits.section };
                return Some(self.ended_by(bound.into()));
            }
            Raw::Failed(error) => {
                self.done = true;
                return Some(self.ended_by(error));
            }
            Raw::TooLong { bytes } => {
                let max = self.limits.row_bytes_max;
                let reason = format!("the row is {bytes} bytes long, at most {max} are read (`ingest.row_bytes_max`)");
                self.rejected(reason, bytes)
            }
            Raw::Line => match judge(&self.buffer, self.limits.turns_max) {
                Ok(row) => Line::Row { line: self.line, row: Box::new(row) },
                Err(reason) => self.rejected(reason, self.buffer.len() as u64),
            },
        };
        Some(Ok(line))
    }
}
