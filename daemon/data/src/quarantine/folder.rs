use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use perennial_durable::{self as durable, DurableError};
use perennial_types::Fingerprint;

use crate::calendar;

/// What quarantine may take on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuarantineLimits {
    /// Bytes of one source's rows.
    pub source_bytes_max: u64,
    /// Bytes of the whole folder.
    pub folder_bytes_max: u64,
}

impl Default for QuarantineLimits {
    fn default() -> Self {
        Self { source_bytes_max: 16 << 20, folder_bytes_max: 1 << 30 }
    }
}

/// The folder of all quarantine files, and how full it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct QuarantineFolder {
    path: PathBuf,
    index: Arc<Mutex<Option<Index>>>,
}

/// What lay there when it was last looked at, with what was written since.
#[derive(Debug)]
struct Index {
    /// File names, by how they end: source and fingerprint.
    names: BTreeMap<String, (String, u64)>,
    bytes: u64,
    since: Instant,
}

/// After so long somebody may have tidied up.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// So soon, where the folder seems full.
const LOOK_AGAIN_FULL: Duration = Duration::from_secs(5);

/// What a small file takes on a disk, at least.
const BLOCK_BYTES: u64 = 4096;

const FINGERPRINT_DIGITS: usize = 12;

/// How many characters `20261121T210613Z` has.
const STAMP_CHARS: usize = 16;

impl QuarantineFolder {
    /// The folder at this path, which need not exist.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), index: Arc::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether so many more bytes go in.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub(super) fn has_room(&self, bytes: u64, bytes_max: u64) -> Result<bool, DurableError> {
        let fits = |index: &Index| index.bytes.saturating_add(bytes) <= bytes_max;
        let mut guard = self.lock();
        let known = guard.as_ref().filter(|index| index.since.elapsed() < LOOK_AGAIN);
        match known {
            Some(index) if fits(index) => Ok(true),
            Some(index) if index.since.elapsed() < LOOK_AGAIN_FULL => Ok(false),
            _ => Ok(fits(guard.insert(self.look()?))),
        }
    }

    /// Where the rows of a source with these bytes are kept: where those of an earlier reading are, if there was one.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub(super) fn place(&self, source: &str, bytes: &Fingerprint, now_ms: i64) -> Result<PathBuf, DurableError> {
        let ending = ending(source, bytes);
        let mut guard = self.lock();
        let index = match &mut *guard {
            Some(index) => index,
            none => none.insert(self.look()?),
        };
        let earlier = index.names.get(&ending).map(|(name, _)| name.clone());
        Ok(self.path.join(earlier.unwrap_or_else(|| format!("{}{ending}", calendar::compact(now_ms)))))
    }

    /// Notes a file that was written, or with 0 bytes removed.
    pub(super) fn note(&self, path: &Path, bytes: u64) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
        if let Some(index) = &mut *self.lock() {
            index.note(name, bytes);
        }
    }

    fn look(&self) -> Result<Index, DurableError> {
        let mut index = Index { names: BTreeMap::new(), bytes: 0, since: Instant::now() };
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(index),
            Err(error) => return Err(durable::failed("list", &self.path)(error)),
        };
        for entry in entries {
            let entry = entry.map_err(durable::failed("list", &self.path))?;
            // What is gone since takes no room.
            let Ok(metadata) = entry.metadata() else { continue };
            match entry.file_name().to_str() {
                Some(name) if metadata.is_file() && is_quarantine_file(name) => index.note(name, metadata.len()),
                _ => index.bytes = index.bytes.saturating_add(metadata.len()),
            }
        }
        Ok(index)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Index>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn note(&mut self, name: &str, bytes: u64) {
        let ending = name.get(STAMP_CHARS..).unwrap_or_default().to_owned();
        if let Some((_, before)) = self.names.remove(&ending) {
            self.bytes = self.bytes.saturating_sub(before);
        }
        if bytes > 0 {
            let bytes = bytes.max(BLOCK_BYTES);
            self.bytes = self.bytes.saturating_add(bytes);
            self.names.insert(ending, (name.to_owned(), bytes));
        }
    }
}

/// Whether a file of this name holds quarantine lines: `20261121T210613Z-SOURCE-FINGERPRINT.jsonl`.
pub(super) fn is_quarantine_file(name: &str) -> bool {
    let stamped = name.get(..STAMP_CHARS).is_some_and(|stamp| {
        stamp.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        })
    });
    stamped && name.get(STAMP_CHARS..).is_some_and(|rest| rest.starts_with('-')) && name.ends_with(".jsonl")
}

fn ending(source: &str, bytes: &Fingerprint) -> String {
    format!("-{}-{}.jsonl", slug(source), bytes.short(FINGERPRINT_DIGITS))
}

/// A source's name as far as it can stand in a file name.
fn slug(source: &str) -> String {
    const CHARS_MAX: usize = 64;
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '_' };
    source.chars().take(CHARS_MAX).map(safe).collect()
}
