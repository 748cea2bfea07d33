use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use perennial_types::Fingerprint;

use super::sniff::{Compression, Peeked};

/// The bytes as they come in: hashed, and with a memory of whether reading them ever failed, so that a failing disk or
/// connection can be told from a damaged archive.
pub(super) struct Tap<R> {
    inner: R,
    hasher: Box<blake3::Hasher>,
    pub(super) failed: bool,
}

impl<R: Read> Tap<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, hasher: Box::default(), failed: false }
    }

    /// Reads what is left, and gives the fingerprint of all the bytes.
    pub(super) fn drain(&mut self) -> io::Result<Fingerprint> {
        io::copy(self, &mut io::sink())?;
        Ok(Fingerprint::from_bytes(*self.hasher.finalize().as_bytes()))
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer);
        match &read {
            Ok(read) => {
                self.hasher.update(buffer.get(..*read).unwrap_or_default());
            }
            Err(error) => self.failed |= error.kind() != io::ErrorKind::Interrupted,
        }
        read
    }
}

type Compressed<R> = BufReader<Peeked<Tap<R>>>;

/// A source, decompressed as its first bytes say.
pub(super) enum Source<R: Read> {
    Plain(Peeked<Tap<R>>),
    Gzip(Box<MultiGzDecoder<Compressed<R>>>),
    Zstd(zstd::Decoder<'static, Compressed<R>>),
}

impl<R: Read> Source<R> {
    /// zstd streams that need a window above 128 MiB (`--long` beyond 27) are refused by the decoder, which bounds memory.
    pub(super) fn open(reader: R) -> io::Result<Self> {
        let raw = Peeked::new(Tap::new(reader));
        Ok(match Compression::of(raw.head()) {
            Compression::None => Self::Plain(raw),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(raw)))),
            Compression::Zstd => Self::Zstd(zstd::Decoder::with_buffer(BufReader::new(raw))?),
        })
    }

    pub(super) fn compression(&self) -> Compression {
        match self {
            Self::Plain(_) => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    pub(super) fn tap(&mut self) -> &mut Tap<R> {
        match self {
            Self::Plain(raw) => &mut raw.rest,
            Self::Gzip(decoder) => &mut decoder.get_mut().get_mut().rest,
            Self::Zstd(decoder) => &mut decoder.get_mut().get_mut().rest,
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
