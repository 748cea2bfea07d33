use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{DurableError, failed, failpoint};

/// What is left of it is for the mask of the process to say.
const FOLDER_MODE: u32 = 0o777;

/// Makes a folder and its missing parents, each synced into its own parent.
///
/// # Errors
/// Where the system refuses a step.
pub fn create_folder_durably(path: &Path) -> Result<(), DurableError> {
    create_folder_of_mode(path, FOLDER_MODE)
}

/// The same with who may enter what is made, parents included; what is there keeps its mode.
///
/// # Errors
/// Where the system refuses a step.
pub fn create_folder_of_mode(path: &Path, mode: u32) -> Result<(), DurableError> {
    // A folder that another thread has made is durable only once that thread has synced the one above it.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    create(path, mode)
}

fn create(path: &Path, mode: u32) -> Result<(), DurableError> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    create(above, mode)?;
    match failpoint::hit("folder.create").and_then(|()| DirBuilder::new().mode(mode).create(path)) {
        Ok(()) => sync_folder(above),
        // Another process was first, and may not have synced it yet.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => sync_folder(above),
        Err(error) => Err(failed("create", path)(error)),
    }
}

/// Makes the names in a folder durable.
///
/// # Errors
/// Where the system refuses.
pub fn sync_folder(path: &Path) -> Result<(), DurableError> {
    let synced = failpoint::hit("folder.sync").and_then(|()| File::open(path)?.sync_all());
    synced.map_err(failed("sync", path))
}

/// Makes all that lies in a folder durable, bytes and names: for files that another library wrote without syncing them.
/// Files of these names in `durable` are known to be so already and are passed over; afterwards it holds all that are there.
///
/// # Errors
/// Where the system refuses; a file that went away meanwhile is no error.
pub fn sync_tree(folder: &Path, durable: &mut BTreeSet<PathBuf>) -> Result<(), DurableError> {
    let mut found = BTreeSet::new();
    sync_new(folder, durable, &mut found)?;
    *durable = found;
    Ok(())
}

fn sync_new(folder: &Path, known: &BTreeSet<PathBuf>, found: &mut BTreeSet<PathBuf>) -> Result<(), DurableError> {
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed("list", folder))?);
        if kind.is_dir() {
            sync_new(&path, known, found)?;
        } else if kind.is_file() {
            if !known.contains(&path) {
                match failpoint::hit("tree.sync").and_then(|()| File::open(&path)?.sync_all()) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    synced => synced.map_err(failed("sync", &path))?,
                }
            }
            found.insert(path);
        }
    }
    sync_folder(folder)
}

/// Makes the names in a folder and in all folders below it durable: at start, since a process that was killed between a
/// rename and its sync leaves a name that is there and could yet go.
///
/// # Errors
/// Where the system refuses; a folder that went away meanwhile is no error.
pub fn sync_folders(folder: &Path) -> Result<(), DurableError> {
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            match sync_folders(&entry.path()) {
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
    }
    sync_folder(folder)
}

/// Renames a file or folder whose content is durable, and makes both names so.
///
/// # Errors
/// Where the system refuses; [`io::ErrorKind::CrossesDevices`] where the two lie on different file systems.
pub fn rename_durably(from: &Path, to: &Path) -> Result<(), DurableError> {
    failpoint::hit("folder.rename").and_then(|()| fs::rename(from, to)).map_err(failed("rename to its name", to))?;
    // The new name first: a power cut in between leaves both or the new one, never neither.
    sync_folder(parent(to))?;
    if parent(from) == parent(to) { Ok(()) } else { sync_folder(parent(from)) }
}

/// The folder that holds `path`; the current one for a bare name.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_moves_between_folders() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("a/file"), root.path().join("b/file"));
        create_folder_durably(&root.path().join("a")).unwrap();
        create_folder_durably(&root.path().join("b")).unwrap();
        fs::write(&from, "x").unwrap();
        rename_durably(&from, &to).unwrap();
        assert!(!from.exists());
        assert_eq!(fs::read(&to).unwrap(), b"x");
        let mut durable = BTreeSet::new();
        sync_tree(root.path(), &mut durable).unwrap();
        assert_eq!(durable, BTreeSet::from([to]));
    }
}
