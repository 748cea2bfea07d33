use std::io;

use super::{
    excerpt::Excerpt,
    judge::clipped,
    limits::{Bound, Stopped},
    sniff::Compression,
};

/// Something that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The name of the file or channel, as it was given to the reader.
    pub source: String,
    /// The line, the first being 1.
    pub line: u64,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The beginning of what was refused.
    pub excerpt: Excerpt,
}

/// Why a source was not read to its end. The rows before are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFault {
    /// The name of the file or channel, as it was given to the reader.
    pub source: String,
    /// The line at which it happened, the first being 1; `None` where the source as a whole is refused.
    pub line: Option<u64>,
    /// What is wrong and how to mend it.
    pub reason: String,
    /// The beginning of a source that is refused as a whole.
    pub excerpt: Option<Excerpt>,
    /// What sort of fault it is.
    pub kind: FaultKind,
}

/// The sorts of faults of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It holds no rows: another kind of file.
    NotRows,
    /// It is damaged or ends early.
    Damaged,
    /// It goes beyond a bound of reading.
    OverBound,
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

impl ReadError {
    /// Whether the reading was stopped from outside, by [`ReadLimits::stop`](super::ReadLimits::stop).
    pub fn is_stop(&self) -> bool {
        self.error.get_ref().is_some_and(|inner| inner.is::<Stopped>())
    }
}

/// Why a stream that cannot be decoded or goes beyond a bound ends at this line.
pub(super) fn described(error: &io::Error, compression: Compression, line: u64) -> (FaultKind, String) {
    if let Some(bound) = bound(error) {
        return (FaultKind::OverBound, format!("reading ended at line {line}: {bound}; the rows before were read"));
    }
    // The words of zstd's own library, which has no other way to tell.
    const TOO_LARGE_A_WINDOW: &str = "requires too much memory";
    let stream = compression.name();
    if error.to_string().contains(TOO_LARGE_A_WINDOW) {
        let reason = format!(
            "the {stream} at line {line} needs a window above 128 MiB to be read, the rows before were read: compress it \
             anew without `--long`, or with `--long=27` at most"
        );
        return (FaultKind::Damaged, reason);
    }
    let trouble = match error.kind() {
        io::ErrorKind::UnexpectedEof => "ends early".to_owned(),
        _ => format!("is damaged ({error})"),
    };
    let reason = format!("the {stream} {trouble} in line {line}; the rows before were read: send the whole file again");
    (FaultKind::Damaged, clipped(&reason))
}

pub(super) fn bound(error: &io::Error) -> Option<&Bound> {
    error.get_ref()?.downcast_ref()
}
