use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use perennial_durable::{create_folder_durably, failpoint, rename_durably, sync_folder};
use perennial_types::{AdapterId, Fingerprint, Fingerprinter};

use super::{
    FILE_BYTES_MAX, StoreError,
    error::{changed, io_error},
};

/// Readable for all, writable for none: production reads as another user.
const FILE_MODE: u32 = 0o444;
/// Production reads as a member of the group; nobody but the owner puts anything in.
const FOLDER_MODE: u32 = 0o750;

/// The fingerprint of an adapter folder: of the names and bytes of its files, by name. An adapter is its plain files.
///
/// # Errors
/// Where the folder cannot be read, is empty, or holds something else than plain files.
pub fn fingerprint_files(folder: &Path) -> Result<Fingerprint, StoreError> {
    let mut fingerprinter = Fingerprinter::new();
    for (name, path) in plain_files(folder)? {
        fingerprinter.add(name.as_bytes());
        fingerprinter.add(&fs::read(&path).map_err(io_error("read", &path))?);
    }
    Ok(fingerprinter.finish())
}

/// Copies a PEFT folder into `adapters/<id>/`, whole or not at all, and returns the fingerprint of its files, which names
/// it ([`AdapterId::of`]). Where it is stored already, nothing is written.
///
/// # Errors
/// Where the folder cannot be read or written, or a stored adapter of the same name has other bytes.
pub fn store_adapter(adapters: &Path, from: &Path) -> Result<Fingerprint, StoreError> {
    let files = fingerprint_files(from)?;
    let target = adapters.join(AdapterId::of(&files).as_str());
    if target.exists() {
        verify_adapter(adapters, &files)?;
        return Ok(files);
    }
    create_folder_durably(adapters)?;
    copy_as(&files, from, &target)?;
    Ok(files)
}

/// Copies a PEFT folder, whole or not at all, read-only, and returns the fingerprint of the copy's files. The folder that
/// holds the copy must be there, the copy must not.
///
/// # Errors
/// Where the folder cannot be read or the copy cannot be written.
pub fn copy_adapter(from: &Path, to: &Path) -> Result<Fingerprint, StoreError> {
    let files = fingerprint_files(from)?;
    copy_as(&files, from, to)?;
    Ok(files)
}

/// The copy gets its name only once its bytes are known to be the ones that were asked for.
fn copy_as(files: &Fingerprint, from: &Path, to: &Path) -> Result<(), StoreError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let incoming = to.with_file_name(format!(".incoming-{name}.tmp"));
    if incoming.exists() {
        fs::remove_dir_all(&incoming).map_err(io_error("remove what a crash left", &incoming))?;
    }
    let made = failpoint::hit("adapter.copy").and_then(|()| DirBuilder::new().mode(FOLDER_MODE).create(&incoming));
    made.map_err(io_error("create", &incoming))?;
    for (name, path) in plain_files(from)? {
        copy_durably(&path, &incoming.join(name))?;
    }
    sync_folder(&incoming)?;
    let copied = fingerprint_files(&incoming)?;
    if copied != *files {
        return Err(changed(incoming, files, &copied));
    }
    Ok(rename_durably(&incoming, to)?)
}

/// A published adapter's bytes match its lineage: the files in `adapters/<id>/` have the fingerprint that the registry
/// recorded when the adapter was trained.
///
/// # Errors
/// Where they differ or cannot be read.
pub fn verify_adapter(adapters: &Path, files: &Fingerprint) -> Result<(), StoreError> {
    let folder = adapters.join(AdapterId::of(files).as_str());
    let found = fingerprint_files(&folder)?;
    if found == *files { Ok(()) } else { Err(changed(folder, files, &found)) }
}

/// The files of a folder, by name.
fn plain_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let entry = entry.map_err(io_error("read", folder))?;
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).map_err(io_error("read", &path))?;
        let Some(name) = entry.file_name().to_str().filter(|_| metadata.is_file()).map(str::to_owned) else {
            return Err(StoreError::NotAPlainFile(path));
        };
        if metadata.len() > FILE_BYTES_MAX {
            return Err(StoreError::TooLarge { path, bytes: metadata.len() });
        }
        files.push((name, path));
    }
    if files.is_empty() {
        return Err(StoreError::Empty(folder.to_owned()));
    }
    files.sort_unstable();
    Ok(files)
}

fn copy_durably(from: &Path, to: &Path) -> Result<(), StoreError> {
    let mut source = File::open(from).map_err(io_error("read", from))?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to).map_err(io_error("create", to))?;
    io::copy(&mut source, &mut target).map_err(io_error("write", to))?;
    target.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(io_error("make read-only", to))?;
    failpoint::hit("adapter.sync").and_then(|()| target.sync_all()).map_err(io_error("sync", to))
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A state folder with a trained PEFT folder in it.
    pub(in crate::store) fn trained(weights: &str) -> (TempDir, PathBuf) {
        let state = TempDir::new().unwrap();
        let peft = state.path().join("peft");
        fs::create_dir(&peft).unwrap();
        fs::write(peft.join("adapter_config.json"), "{}").unwrap();
        fs::write(peft.join("adapter_model.safetensors"), weights).unwrap();
        (state, peft)
    }

    #[test]
    fn an_adapter_is_stored_once_read_only_and_under_the_name_of_its_bytes() {
        let (state, peft) = trained("weights");
        let adapters = state.path().join("adapters");
        let files = store_adapter(&adapters, &peft).unwrap();
        assert_eq!(store_adapter(&adapters, &peft).unwrap(), files);
        let stored = adapters.join(AdapterId::of(&files).as_str());
        assert_eq!(fs::read(stored.join("adapter_model.safetensors")).unwrap(), b"weights");
        let mode = fs::metadata(stored.join("adapter_config.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);
        let names: Vec<_> = fs::read_dir(&adapters).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [AdapterId::of(&files).as_str()], "nothing else is left there");
    }

    #[test]
    fn a_changed_file_is_found_and_never_overwritten() {
        let (state, peft) = trained("weights");
        let adapters = state.path().join("adapters");
        let files = store_adapter(&adapters, &peft).unwrap();
        let file = adapters.join(AdapterId::of(&files).as_str()).join("adapter_config.json");
        fs::remove_file(&file).unwrap();
        fs::write(&file, "{ }").unwrap();
        assert!(matches!(verify_adapter(&adapters, &files), Err(StoreError::Changed { .. })));
        assert!(matches!(store_adapter(&adapters, &peft), Err(StoreError::Changed { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"{ }");
    }

    #[test]
    fn what_a_crash_left_is_swept_away() {
        let (state, peft) = trained("weights");
        let adapters = state.path().join("adapters");
        let id = AdapterId::of(&fingerprint_files(&peft).unwrap());
        let half = adapters.join(format!(".incoming-{id}.tmp"));
        fs::create_dir_all(&half).unwrap();
        fs::write(half.join("adapter_config.json"), "half").unwrap();
        let files = store_adapter(&adapters, &peft).unwrap();
        verify_adapter(&adapters, &files).unwrap();
        assert!(!half.exists());
    }

    #[test]
    fn folders_and_links_are_no_adapter_files() {
        let (_state, peft) = trained("weights");
        symlink("/etc/hostname", peft.join("extra")).unwrap();
        assert!(matches!(fingerprint_files(&peft), Err(StoreError::NotAPlainFile(_))));
        fs::remove_file(peft.join("extra")).unwrap();
        fs::create_dir(peft.join("extra")).unwrap();
        assert!(matches!(fingerprint_files(&peft), Err(StoreError::NotAPlainFile(_))));
        let empty = TempDir::new().unwrap();
        assert!(matches!(fingerprint_files(empty.path()), Err(StoreError::Empty(_))));
    }
}
