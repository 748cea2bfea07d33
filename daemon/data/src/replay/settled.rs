//! Which version of the table is on disk for good. LanceDB syncs nothing of what it writes, so after a power cut its newest
//! versions may be torn. The newest version that was synced is noted beside the table, and what is newer is let go when the
//! buffer is opened: whatever it held was not acknowledged, and is written again.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use perennial_durable::{self as durable, DurableError, failpoint};

/// Holds the number of the version, in the buffer's folder.
const SETTLED_FILE: &str = "settled";
/// Where LanceDB keeps what names the files of each version, below the table's folder.
const VERSIONS_FOLDER: &str = "_versions";
const MANIFEST_SUFFIX: &str = ".manifest";

/// What is durable of a buffer's folder.
pub(super) struct Settled {
    folder: PathBuf,
    version: Option<u64>,
    /// LanceDB never changes a file, so what was synced once is durable.
    files: Mutex<BTreeSet<PathBuf>>,
}

impl Settled {
    /// Looks at a folder, and removes the versions of its table that are newer than the settled one, with what unfinished
    /// writes left. Only safe while nothing is being written there.
    pub(super) fn open(folder: &Path, table: &str) -> Result<Self, DurableError> {
        durable::sweep_tree(folder, is_unfinished)?;
        let version = noted(folder)?;
        let mut files = BTreeSet::new();
        if let Some(version) = version {
            forget_after(version, &folder.join(format!("{table}.lance")).join(VERSIONS_FOLDER))?;
            list(folder, &mut files)?;
        }
        Ok(Self { folder: folder.to_owned(), version, files: Mutex::new(files) })
    }

    /// The newest version that was durable when the folder was opened; `None` where none was noted.
    pub(super) fn version(&self) -> Option<u64> {
        self.version
    }

    /// Makes all of the table durable, of which this is the newest version.
    pub(super) fn settle(&self, version: u64) -> Result<(), DurableError> {
        failpoint::hit("buffer.settle").map_err(durable::failed("sync", &self.folder))?;
        durable::sync_tree(&self.folder, &mut self.files.lock().unwrap_or_else(PoisonError::into_inner))?;
        durable::write_durably(&self.folder.join(SETTLED_FILE), version.to_string().as_bytes())
    }
}

fn noted(folder: &Path) -> Result<Option<u64>, DurableError> {
    let path = folder.join(SETTLED_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(durable::failed("read", &path)(error)),
    }
}

fn forget_after(settled: u64, versions: &Path) -> Result<(), DurableError> {
    let mut files = BTreeSet::new();
    list(versions, &mut files)?;
    let found: Vec<(u64, PathBuf)> = files.into_iter().filter_map(|path| Some((version_of(&path)?, path))).collect();
    // Without the version itself there would be no table left.
    if found.iter().all(|(version, _)| *version != settled) {
        return Ok(());
    }
    let newer: Vec<PathBuf> =
        found.into_iter().filter(|(version, _)| *version > settled).map(|(_, path)| path).collect();
    for path in &newer {
        fs::remove_file(path).map_err(durable::failed("remove", path))?;
    }
    if newer.is_empty() { Ok(()) } else { durable::sync_folder(versions) }
}

/// The files in a folder and below it; none where it is missing.
fn list(folder: &Path, files: &mut BTreeSet<PathBuf>) -> Result<(), DurableError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(durable::failed("list", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(durable::failed("list", folder))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&entry.path(), files)?;
        } else {
            files.insert(entry.path());
        }
    }
    Ok(())
}

/// LanceDB writes to a file that begins with `.tmp`, the library below it to one with a number behind `#`, and renames it;
/// what lies beside the table is written by us.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(".tmp") || name.contains('#') || durable::is_temporary(path)
}

/// LanceDB names a version's manifest by what is left to the largest number, in twenty digits, so that the newest comes
/// first; earlier it was the number itself.
fn version_of(manifest: &Path) -> Option<u64> {
    let number = manifest.file_name()?.to_str()?.strip_suffix(MANIFEST_SUFFIX)?;
    let version = number.parse::<u64>().ok()?;
    Some(if number.len() == DIGITS { u64::MAX - version } else { version })
}

const DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_a_manifest_are_known() {
        assert_eq!(version_of(Path::new("a/18446744073709551612.manifest")), Some(3));
        assert_eq!(version_of(Path::new("a/3.manifest")), Some(3));
        assert_eq!(version_of(Path::new("a/latest_version_hint.json")), None);
    }
}
