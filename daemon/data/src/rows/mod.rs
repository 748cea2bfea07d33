//! Rows from JSON Lines: plain, gzip or zstd (told by their first bytes, not by a name), from files or any [`Read`],
//! streamed with bounded memory. What cannot be read is handed on as a [`Rejected`], and reading goes on.

mod excerpt;
mod lines;
mod sniff;
mod source;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use perennial_types::{Fingerprint, Row, RowError};

pub use self::excerpt::Excerpt;
use self::{lines::Raw, sniff::Peeked, source::Source};

/// The longest row that is read, in bytes, unless the configuration says otherwise: 16 MiB.
pub const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much of a refused row is kept, in bytes, unless the configuration says otherwise: 64 KiB.
pub const EXCERPT_BYTES_MAX: usize = 64 * 1024;

/// The limits of reading.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Longer lines are rejected without being held. Memory stays within a few times this for rows of text; a row of nothing
    /// but tiny JSON values (`[0,0,0,…]`) takes up to forty times its length while it is judged.
    pub row_bytes_max: usize,
    /// How much of a refused row its [`Excerpt`] holds.
    pub excerpt_bytes_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { row_bytes_max: ROW_BYTES_MAX, excerpt_bytes_max: EXCERPT_BYTES_MAX }
    }
}

/// What a line of a source turned out to be. Blank lines are passed over.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A good row.
    Row {
        /// Its line, the first being 1.
        line: u64,
        /// What it holds.
        row: Row,
    },
    /// A line, or a whole source, that is no row.
    Rejected(Rejected),
}

/// Something that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The name of the file or channel, as it was given to the reader.
    pub source: String,
    /// The line, the first being 1; `None` where the whole source is refused.
    pub line: Option<u64>,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The beginning of what was refused.
    pub excerpt: Excerpt,
}

/// A source that cannot be read, which says nothing about the rows in it: try again.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {origin}: {error}")]
pub struct ReadError {
    /// The name of the file or channel.
    pub origin: String,
    /// What the system said.
    pub error: io::Error,
}

/// The rows of a source, in order. After a [`ReadError`] or the rejection of the whole source there are no more.
pub struct Rows<R: Read> {
    name: String,
    reader: BufReader<Peeked<Source<R>>>,
    buffer: Vec<u8>,
    line: u64,
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
        let source = Source::open(reader).map_err(|error| ReadError { origin: name.clone(), error })?;
        let mut decoded = Peeked::new(source);
        decoded.skip_mark();
        let refusal = sniff::refusal(decoded.head());
        let reader = BufReader::with_capacity(sniff::HEAD_BYTES, decoded);
        Ok(Self { name, reader, buffer: Vec::new(), line: 0, limits, refusal, done: false })
    }

    /// The fingerprint of the source's bytes as they came in (compressed, if they were), which is what `b3sum` prints for
    /// the file. Reads what is left.
    ///
    /// # Errors
    /// Where the rest cannot be read.
    pub fn finish(mut self) -> Result<Fingerprint, ReadError> {
        let fingerprint = self.source().tap().drain();
        fingerprint.map_err(|error| ReadError { origin: self.name, error })
    }

    fn source(&mut self) -> &mut Source<R> {
        &mut self.reader.get_mut().rest
    }

    fn judge(&self) -> Result<Row, String> {
        let text = std::str::from_utf8(&self.buffer)
            .map_err(|error| format!("not UTF-8: the byte at column {} is not text", error.valid_up_to() + 1))?;
        Row::parse(text).map_err(|error| match error {
            RowError::NotAnObject(_) => format!("{error}: put one object on each line"),
            _ => error.to_string(),
        })
    }

    /// The failure of a read, either of the source itself or of its decompression.
    fn stopped(&mut self, error: io::Error) -> Result<Line, ReadError> {
        if self.source().tap().failed {
            return Err(ReadError { origin: self.name.clone(), error });
        }
        let stream = self.source().compression().name();
        let trouble = match error.kind() {
            io::ErrorKind::UnexpectedEof => "ends early".to_owned(),
            _ => format!("is damaged ({error})"),
        };
        let (line, seen) = (self.line, self.buffer.len() as u64);
        let reason =
            format!("the {stream} {trouble} in line {line}; the rows before were read: send the whole file again");
        Ok(self.rejected(Some(line), reason, seen))
    }

    fn rejected(&self, line: Option<u64>, reason: String, row_bytes: u64) -> Line {
        let excerpt = Excerpt::new(&self.buffer, row_bytes, self.limits.excerpt_bytes_max);
        Line::Rejected(Rejected { source: self.name.clone(), line, reason, excerpt })
    }

    fn refuse_source(&mut self, reason: String) -> Line {
        self.buffer = self.reader.get_ref().head().to_vec();
        let mut excerpt = Excerpt::new(&self.buffer, self.buffer.len() as u64, self.limits.excerpt_bytes_max);
        // Nothing beyond the head was looked at, nor will it be.
        excerpt.cut |= self.buffer.len() == sniff::HEAD_BYTES;
        Line::Rejected(Rejected { source: self.name.clone(), line: None, reason, excerpt })
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
        loop {
            let raw = lines::next_line(&mut self.reader, &mut self.buffer, self.limits.row_bytes_max);
            self.line += 1;
            let line = self.line;
            match raw {
                Raw::End => {
                    self.done = true;
                    return None;
                }
                Raw::Failed(error) => {
                    self.done = true;
                    return Some(self.stopped(error));
                }
                Raw::TooLong { bytes } => {
                    let max = self.limits.row_bytes_max;
                    let reason = format!("the row is {bytes} bytes long, at most {max} are read (`row_bytes_max`)");
                    return Some(Ok(self.rejected(Some(line), reason, bytes)));
                }
                Raw::Line if self.buffer.iter().all(u8::is_ascii_whitespace) => {}
                Raw::Line => {
                    let judged = match self.judge() {
                        Ok(row) => Line::Row { line, row },
                        Err(reason) => self.rejected(Some(line), reason, self.buffer.len() as u64),
                    };
                    return Some(Ok(judged));
                }
            }
        }
    }
}
