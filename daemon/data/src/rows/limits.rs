use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest row that is read, in bytes, unless the configuration says otherwise: 16 MiB.
pub const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much of a refused row is kept, in bytes: 64 KiB.
pub const EXCERPT_BYTES_MAX: usize = 64 * 1024;

/// Blank lines that are passed over in one source.
pub const BLANK_LINES_MAX: u64 = 1_000_000;

/// Members of a gzip file that hold nothing, one after the other.
pub const EMPTY_MEMBERS_MAX: u32 = 1000;

/// So many bytes may come of any compressed source, however small it is: repetitive rows compress well.
pub const RATIO_FREE_BYTES: u64 = 16 << 20;

/// The limits of reading one source.
#[derive(Clone, Debug)]
pub struct ReadLimits {
    /// Longer lines are rejected without being held. Memory stays within a few times this for rows of text; a row of nothing
    /// but tiny JSON values (`[0,0,0,…]`) takes up to forty times its length while it is judged.
    pub row_bytes_max: usize,
    /// How much of a refused row its [`Excerpt`](super::Excerpt) holds.
    pub excerpt_bytes_max: usize,
    /// Rows with more messages are rejected: templates take time with the square of them.
    pub turns_max: usize,
    /// How many bytes a source may hold, after decompression.
    pub bytes_max: u64,
    /// How many rows, good or bad, a source may hold.
    pub rows_max: u64,
    /// How many times its own size a compressed source may hold, beyond [`RATIO_FREE_BYTES`].
    pub compression_ratio_max: u64,
    /// How long reading may take, from the first byte on.
    pub time_max: Duration,
    /// The section of the configuration that `bytes_max`, `rows_max` and `seconds_max` stand in, for reasons.
    pub section: &'static str,
    /// Ends the reading when it is set.
    pub stop: Arc<AtomicBool>,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            row_bytes_max: ROW_BYTES_MAX,
            excerpt_bytes_max: EXCERPT_BYTES_MAX,
            turns_max: 1024,
            bytes_max: 1 << 36,
            rows_max: 100_000_000,
            compression_ratio_max: 200,
            time_max: Duration::from_secs(6 * 3600),
            section: "ingest.file",
            stop: Arc::default(),
        }
    }
}

/// A bound that a source went beyond, with the key that raises it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Bound {
    #[error(
        "it holds more than {max} bytes, after decompression (raise `bytes_max` in [{section}], or send it in parts)"
    )]
    Bytes { max: u64, section: &'static str },
    #[error("it holds more than {max} rows (raise `rows_max` in [{section}], or send it in parts)")]
    Rows { max: u64, section: &'static str },
    #[error(
        "it holds more than {max} times its own size (raise `ingest.compression_ratio_max`, or send it uncompressed)"
    )]
    Ratio { max: u64 },
    #[error("reading it takes longer than {seconds} s (raise `seconds_max` in [{section}], or send it in parts)")]
    Time { seconds: u64, section: &'static str },
    #[error("it holds more than {BLANK_LINES_MAX} blank lines")]
    BlankLines,
    #[error("it holds more than {EMPTY_MEMBERS_MAX} empty gzip members in a row")]
    EmptyMembers,
}

impl From<Bound> for io::Error {
    fn from(bound: Bound) -> Self {
        Self::other(bound)
    }
}

/// Somebody asked for the reading to end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("reading was stopped")]
pub(super) struct Stopped;

/// How long reading may go on.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    since: Instant,
    time_max: Option<Duration>,
    section: &'static str,
    stop: Arc<AtomicBool>,
}

impl Patience {
    pub(super) fn of(limits: &ReadLimits) -> Self {
        let ReadLimits { time_max, section, .. } = *limits;
        Self { since: Instant::now(), time_max: Some(time_max), section, stop: Arc::clone(&limits.stop) }
    }

    /// Until it is stopped, however long that takes.
    pub(super) fn lift_time(&mut self) {
        self.time_max = None;
    }

    /// # Errors
    /// [`Stopped`] or [`Bound::Time`].
    pub(super) fn check(&self) -> io::Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other(Stopped));
        }
        match self.time_max {
            Some(max) if self.since.elapsed() > max => {
                Err(Bound::Time { seconds: max.as_secs(), section: self.section }.into())
            }
            _ => Ok(()),
        }
    }
}
