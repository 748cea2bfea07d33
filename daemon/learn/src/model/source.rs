use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

/// Where a model's bytes lie: a file, or memory. Everything that is read by a number from within is checked against the length
/// first.
pub(super) enum Source<'a> {
    File(File),
    Memory(&'a [u8]),
}

impl Source<'_> {
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::File(file) => Ok(file.metadata()?.len()),
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Fills the buffer with the bytes from `offset` on.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(buffer, offset),
            Self::Memory(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let found = bytes.get(start..).and_then(|rest| rest.get(..buffer.len()));
                buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    /// A reader from the start on.
    pub(super) fn reader(&self) -> SourceReader<'_> {
        SourceReader { source: self, at: 0 }
    }
}

pub(super) struct SourceReader<'a> {
    source: &'a Source<'a>,
    at: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self.source {
            Source::File(file) => file.read_at(buffer, self.at)?,
            Source::Memory(bytes) => {
                let rest = bytes.get(self.at as usize..).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                read
            }
        };
        self.at += read as u64;
        Ok(read)
    }
}
