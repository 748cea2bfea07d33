//! The body of a request, gathered before anything reads it.

use std::{
    io::{self, Cursor, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use perennial_data::rows::is_compressed;
use tokio::{
    fs::{self, File, OpenOptions},
    io::AsyncWriteExt,
};

/// Bodies up to this length are kept in memory, longer ones in a file.
const MEMORY_BYTES_MAX: usize = 256 << 10;

/// What a request sent, whole and ready to be read: a slow or broken sender holds nobody up, and memory does not depend on
/// its length.
pub(crate) enum RequestBody {
    /// A short one.
    Memory(Cursor<Vec<u8>>),
    /// A long one, in a file without a name.
    File(io::BufReader<std::fs::File>),
}

impl RequestBody {
    /// Whether reading it is soon over: it is short and holds no more than it seems to.
    pub(crate) fn is_light(&self) -> bool {
        match self {
            Self::Memory(bytes) => !is_compressed(bytes.get_ref()),
            Self::File(_) => false,
        }
    }
}

impl Read for RequestBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory(bytes) => bytes.read(buffer),
            Self::File(file) => file.read(buffer),
        }
    }
}

/// Gathers a body as it comes.
pub(crate) struct BodyWriter {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
}

impl BodyWriter {
    /// For a body that may have to be kept in a file in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), memory: Vec::new(), file: None }
    }

    /// Adds what came.
    ///
    /// # Errors
    /// Where it cannot be kept: mostly, a full disk.
    pub(crate) async fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + chunk.len() <= MEMORY_BYTES_MAX {
            self.memory.extend_from_slice(chunk);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = none.insert(nameless_file(&self.folder).await?);
                file.write_all(&std::mem::take(&mut self.memory)).await?;
                file
            }
        };
        file.write_all(chunk).await
    }

    /// All of it, to be read from its beginning.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub(crate) async fn finish(self) -> io::Result<RequestBody> {
        let Some(mut file) = self.file else { return Ok(RequestBody::Memory(Cursor::new(self.memory))) };
        file.flush().await?;
        let mut file = file.into_std().await;
        file.seek(SeekFrom::Start(0))?;
        Ok(RequestBody::File(io::BufReader::new(file)))
    }
}

/// What a request sends is nobody else's, however short its file has a name.
const MODE: u32 = 0o600;

/// A file without a name, gone as soon as it is closed. A crash before it lost its name leaves what the next start sweeps.
async fn nameless_file(folder: &Path) -> io::Result<File> {
    let path = folder.join(format!(".request-{}.tmp", ulid::Ulid::new()));
    let file = OpenOptions::new().create_new(true).read(true).write(true).mode(MODE).open(&path).await?;
    fs::remove_file(&path).await?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn body(bytes: &[u8]) -> (RequestBody, usize) {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = BodyWriter::new(folder.path());
        for chunk in bytes.chunks(10_000) {
            writer.push(chunk).await.unwrap();
        }
        (writer.finish().await.unwrap(), std::fs::read_dir(folder.path()).unwrap().count())
    }

    #[tokio::test]
    async fn short_bodies_stay_in_memory_and_long_ones_come_back_whole() {
        for (length, light) in [(0, true), (1000, true), (MEMORY_BYTES_MAX, true), (MEMORY_BYTES_MAX + 1, false)] {
            let bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8 + 1).collect();
            let (mut body, files) = body(&bytes).await;
            assert_eq!((body.is_light(), files), (light, 0), "{length} bytes");
            let mut back = Vec::new();
            body.read_to_end(&mut back).unwrap();
            assert_eq!(back, bytes);
        }
    }

    #[tokio::test]
    async fn what_is_compressed_may_hold_more_than_it_seems() {
        for start in [&b"\x1f\x8b\x08"[..], b"\x28\xb5\x2f\xfd", b"\x5a\x2a\x4d\x18"] {
            assert!(!body(start).await.0.is_light(), "{start:?}");
        }
    }
}
