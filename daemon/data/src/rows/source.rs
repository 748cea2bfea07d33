use std::io::{self, BufReader, Read};

use perennial_types::Fingerprint;

use super::{
    gzip::Members,
    limits::{Bound, Patience, RATIO_FREE_BYTES, ReadLimits},
    sniff::{Compression, Peeked},
};

/// zstd frames may ask for a window of up to 2 to this power: 128 MiB, which is what zstd(1) reads without being told to.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The bytes as they come in: hashed, counted, and with a memory of whether reading them ever failed, so that a failing disk
/// or connection can be told from a damaged archive.
pub(super) struct Tap<R> {
    inner: R,
    hasher: Box<blake3::Hasher>,
    patience: Patience,
    bytes: u64,
    pub(super) failed: bool,
}

impl<R: Read> Tap<R> {
    fn new(inner: R, patience: Patience) -> Self {
        Self { inner, hasher: Box::default(), patience, bytes: 0, failed: false }
    }

    /// Reads what is left, and gives the fingerprint and the number of all the bytes.
    pub(super) fn drain(&mut self) -> io::Result<(Fingerprint, u64)> {
        self.patience.lift_time();
        io::copy(self, &mut io::sink())?;
        Ok((Fingerprint::from_bytes(*self.hasher.finalize().as_bytes()), self.bytes))
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.patience.check()?;
        let read = self.inner.read(buffer);
        match &read {
            Ok(read) => {
                self.hasher.update(buffer.get(..*read).unwrap_or_default());
                self.bytes += *read as u64;
            }
            Err(error) => self.failed |= error.kind() != io::ErrorKind::Interrupted,
        }
        read
    }
}

type Compressed<R> = BufReader<Peeked<Tap<R>>>;

/// A source, decompressed as its first bytes say, within its bounds.
pub(super) struct Source<R: Read> {
    stream: Stream<R>,
    patience: Patience,
    bytes: u64,
    bytes_max: u64,
    ratio_max: u64,
    section: &'static str,
}

enum Stream<R: Read> {
    Plain(Peeked<Tap<R>>),
    Gzip(Box<Members<Compressed<R>>>),
    Zstd(zstd::Decoder<'static, Compressed<R>>),
}

impl<R: Read> Source<R> {
    pub(super) fn open(reader: R, limits: &ReadLimits) -> io::Result<Self> {
        let patience = Patience::of(limits);
        let raw = Peeked::new(Tap::new(reader, patience.clone()));
        let stream = match Compression::of(raw.head()) {
            Compression::None => Stream::Plain(raw),
            Compression::Gzip => Stream::Gzip(Box::new(Members::new(BufReader::new(raw)))),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(BufReader::new(raw))?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Stream::Zstd(decoder)
            }
        };
        let ReadLimits { bytes_max, compression_ratio_max: ratio_max, section, .. } = *limits;
        Ok(Self { stream, patience, bytes: 0, bytes_max, ratio_max, section })
    }

    pub(super) fn compression(&self) -> Compression {
        match self.stream {
            Stream::Plain(_) => Compression::None,
            Stream::Gzip(_) => Compression::Gzip,
            Stream::Zstd(_) => Compression::Zstd,
        }
    }

    /// `None` only inside a read.
    pub(super) fn tap(&mut self) -> Option<&mut Tap<R>> {
        match &mut self.stream {
            Stream::Plain(raw) => Some(&mut raw.rest),
            Stream::Gzip(members) => members.get_mut().map(|buffered| &mut buffered.get_mut().rest),
            Stream::Zstd(decoder) => Some(&mut decoder.get_mut().get_mut().rest),
        }
    }

    /// Whether as much came of the source as may. Asked before a read, so that what was read up to the bound is given.
    fn check_bounds(&mut self) -> io::Result<()> {
        self.patience.check()?;
        if self.bytes > self.bytes_max {
            return Err(Bound::Bytes { max: self.bytes_max, section: self.section }.into());
        }
        if self.bytes <= RATIO_FREE_BYTES || self.compression() == Compression::None {
            return Ok(());
        }
        let raw = self.tap().map_or(0, |tap| tap.bytes);
        if self.bytes > raw.saturating_mul(self.ratio_max) {
            return Err(Bound::Ratio { max: self.ratio_max }.into());
        }
        Ok(())
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check_bounds()?;
        let read = match &mut self.stream {
            Stream::Plain(raw) => raw.read(buffer),
            Stream::Gzip(members) => members.read(buffer),
            Stream::Zstd(decoder) => decoder.read(buffer),
        }?;
        self.bytes += read as u64;
        Ok(read)
    }
}
