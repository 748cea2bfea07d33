//! Adapter folders that never change, and the link to the one in service. Functions of the file system alone: what is in
//! service is the registry's to say, and these make the disk agree. Each can be repeated after a crash.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use perennial_types::{AdapterId, Fingerprint, Fingerprinter};

/// The link's name in the export folder.
const CURRENT: &str = "current";
/// Where the link points, seen from the export folder.
const ADAPTERS_FROM_EXPORT: &str = "../adapters";
/// The largest file of an adapter: each is read into memory to be fingerprinted.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Readable for all, writable for none: production reads as another user.
const FILE_MODE: u32 = 0o444;
/// Production reads as a member of the group; nobody but the owner puts anything in.
const FOLDER_MODE: u32 = 0o750;

/// Why an adapter could not be stored or published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The file system failed.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was to be done.
        action: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// An adapter folder holds something else than plain files.
    #[error("{}: an adapter folder holds plain files with readable names only", .0.display())]
    NotAPlainFile(PathBuf),
    /// A file is too large to be part of an adapter.
    #[error("{}: {bytes} bytes; a file of an adapter has at most {FILE_BYTES_MAX}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// An adapter folder without files.
    #[error("{}: there are no adapter files", .0.display())]
    Empty(PathBuf),
    /// A stored adapter is not what its name says.
    #[error(
        "{}: its files have the fingerprint {found}, not {expected}: they were changed after they were written; \
         restore the folder from a backup, or roll back",
        path.display()
    )]
    Changed {
        /// The folder.
        path: PathBuf,
        /// The fingerprint that the lineage names.
        expected: String,
        /// The fingerprint of what is there.
        found: String,
    },
    /// The link leads somewhere else than to an adapter.
    #[error("{}: is not a link to an adapter; move it away", .0.display())]
    NotALink(PathBuf),
}

/// The fingerprint of an adapter folder: of the names and bytes of its files, by name. An adapter is its plain files.
///
/// # Errors
/// Where the folder cannot be read, is empty, or holds something else than plain files.
pub fn fingerprint_files(folder: &Path) -> Result<Fingerprint, PublishError> {
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
pub fn store_adapter(adapters: &Path, from: &Path) -> Result<Fingerprint, PublishError> {
    let files = fingerprint_files(from)?;
    let target = adapters.join(AdapterId::of(&files).as_str());
    if target.exists() {
        verify_adapter(adapters, &files)?;
        return Ok(files);
    }
    fs::create_dir_all(adapters).map_err(io_error("create", adapters))?;
    copy_as(&files, from, &target)?;
    Ok(files)
}

/// Copies a PEFT folder, whole or not at all, read-only, and returns the fingerprint of the copy's files. The folder that
/// holds the copy must be there, the copy must not.
///
/// # Errors
/// Where the folder cannot be read or the copy cannot be written.
pub fn copy_adapter(from: &Path, to: &Path) -> Result<Fingerprint, PublishError> {
    let files = fingerprint_files(from)?;
    copy_as(&files, from, to)?;
    Ok(files)
}

/// The copy gets its name only once its bytes are known to be the ones that were asked for.
fn copy_as(files: &Fingerprint, from: &Path, to: &Path) -> Result<(), PublishError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let incoming = to.with_file_name(format!(".incoming-{name}"));
    if incoming.exists() {
        fs::remove_dir_all(&incoming).map_err(io_error("remove what a crash left", &incoming))?;
    }
    DirBuilder::new().mode(FOLDER_MODE).create(&incoming).map_err(io_error("create", &incoming))?;
    for (name, path) in plain_files(from)? {
        copy_durably(&path, &incoming.join(name))?;
    }
    sync_folder(&incoming)?;
    let copied = fingerprint_files(&incoming)?;
    if copied != *files {
        return Err(changed(incoming, files, &copied));
    }
    fs::rename(&incoming, to).map_err(io_error("rename to its name", to))?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))
}

/// A published adapter's bytes match its lineage: the files in `adapters/<id>/` have the fingerprint that the registry
/// recorded when the adapter was trained.
///
/// # Errors
/// Where they differ or cannot be read.
pub fn verify_adapter(adapters: &Path, files: &Fingerprint) -> Result<(), PublishError> {
    let folder = adapters.join(AdapterId::of(files).as_str());
    let found = fingerprint_files(&folder)?;
    if found == *files { Ok(()) } else { Err(changed(folder, files, &found)) }
}

/// Makes `export/current` lead to `../adapters/<id>`, or takes it away where the base model is in service. A reader sees
/// the old adapter or the new one, never neither. Where it leads there already, nothing is written.
///
/// # Errors
/// Where there is no such adapter folder, or something else than a link has the link's name.
pub fn switch_current(export: &Path, adapter: Option<&AdapterId>) -> Result<(), PublishError> {
    fs::create_dir_all(export).map_err(io_error("create", export))?;
    if current(export)?.as_ref() == adapter {
        return Ok(());
    }
    let link = export.join(CURRENT);
    match adapter {
        None => fs::remove_file(&link).map_err(io_error("remove", &link))?,
        Some(adapter) => {
            let goal = Path::new(ADAPTERS_FROM_EXPORT).join(adapter.as_str());
            let folder = export.join(&goal);
            fs::read_dir(&folder).map_err(io_error("read", &folder))?;
            let incoming = export.join(format!(".{CURRENT}"));
            match fs::remove_file(&incoming) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error("remove what a crash left", &incoming)(error));
                }
                _ => {}
            }
            symlink(&goal, &incoming).map_err(io_error("create", &incoming))?;
            fs::rename(&incoming, &link).map_err(io_error("switch", &link))?;
        }
    }
    sync_folder(export)
}

/// The adapter that `export/current` leads to; `None` where there is no link.
///
/// # Errors
/// Where something else has the link's name, or the link leads somewhere else.
pub fn current(export: &Path) -> Result<Option<AdapterId>, PublishError> {
    let link = export.join(CURRENT);
    let goal = match fs::read_link(&link) {
        Ok(goal) => goal,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(PublishError::NotALink(link)),
        Err(error) => return Err(io_error("read", &link)(error)),
    };
    let name = goal.strip_prefix(ADAPTERS_FROM_EXPORT).ok().and_then(Path::to_str);
    match name.and_then(|name| name.parse().ok()) {
        Some(adapter) => Ok(Some(adapter)),
        None => Err(PublishError::NotALink(link)),
    }
}

/// The files of a folder, by name.
fn plain_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, PublishError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("read", folder))? {
        let entry = entry.map_err(io_error("read", folder))?;
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).map_err(io_error("read", &path))?;
        let Some(name) = entry.file_name().to_str().filter(|_| metadata.is_file()).map(str::to_owned) else {
            return Err(PublishError::NotAPlainFile(path));
        };
        if metadata.len() > FILE_BYTES_MAX {
            return Err(PublishError::TooLarge { path, bytes: metadata.len() });
        }
        files.push((name, path));
    }
    if files.is_empty() {
        return Err(PublishError::Empty(folder.to_owned()));
    }
    files.sort_unstable();
    Ok(files)
}

fn copy_durably(from: &Path, to: &Path) -> Result<(), PublishError> {
    let mut source = File::open(from).map_err(io_error("read", from))?;
    let mut target = OpenOptions::new().write(true).create_new(true).open(to).map_err(io_error("create", to))?;
    io::copy(&mut source, &mut target).map_err(io_error("write", to))?;
    target.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(io_error("make read-only", to))?;
    target.sync_all().map_err(io_error("sync", to))
}

fn sync_folder(folder: &Path) -> Result<(), PublishError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io_error("sync", folder))
}

fn changed(path: PathBuf, expected: &Fingerprint, found: &Fingerprint) -> PublishError {
    PublishError::Changed { path, expected: expected.to_string(), found: found.to_string() }
}

fn io_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> PublishError + use<> {
    let path = path.to_owned();
    move |source| PublishError::Io { action, path: path.clone(), source }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A state folder with a trained PEFT folder in it.
    fn trained(weights: &str) -> (TempDir, PathBuf) {
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
        assert!(matches!(verify_adapter(&adapters, &files), Err(PublishError::Changed { .. })));
        assert!(matches!(store_adapter(&adapters, &peft), Err(PublishError::Changed { .. })));
        assert_eq!(fs::read(&file).unwrap(), b"{ }");
    }

    #[test]
    fn what_a_crash_left_is_swept_away() {
        let (state, peft) = trained("weights");
        let adapters = state.path().join("adapters");
        let id = AdapterId::of(&fingerprint_files(&peft).unwrap());
        let half = adapters.join(format!(".incoming-{id}"));
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
        assert!(matches!(fingerprint_files(&peft), Err(PublishError::NotAPlainFile(_))));
        fs::remove_file(peft.join("extra")).unwrap();
        fs::create_dir(peft.join("extra")).unwrap();
        assert!(matches!(fingerprint_files(&peft), Err(PublishError::NotAPlainFile(_))));
        let empty = TempDir::new().unwrap();
        assert!(matches!(fingerprint_files(empty.path()), Err(PublishError::Empty(_))));
    }

    #[test]
    fn current_is_switched_relatively_and_taken_away_for_the_base_model() {
        let (state, peft) = trained("one");
        let (adapters, export) = (state.path().join("adapters"), state.path().join("export"));
        let one = AdapterId::of(&store_adapter(&adapters, &peft).unwrap());
        fs::write(peft.join("adapter_model.safetensors"), "two").unwrap();
        let two = AdapterId::of(&store_adapter(&adapters, &peft).unwrap());
        fs::create_dir(&export).unwrap();
        symlink("nowhere", export.join(".current")).unwrap();

        assert_eq!(current(&export).unwrap(), None);
        for adapter in [Some(&one), Some(&two), Some(&two), None, None, Some(&one)] {
            switch_current(&export, adapter).unwrap();
            assert_eq!(current(&export).unwrap().as_ref(), adapter);
        }
        assert_eq!(fs::read_link(export.join("current")).unwrap(), Path::new("../adapters").join(one.as_str()));
        assert_eq!(fs::read(export.join("current/adapter_model.safetensors")).unwrap(), b"one");

        let missing = AdapterId::of(&Fingerprint::of(b"missing"));
        assert!(switch_current(&export, Some(&missing)).is_err());
        assert_eq!(current(&export).unwrap(), Some(one));
    }

    #[test]
    fn what_is_not_our_link_is_left_alone() {
        let state = TempDir::new().unwrap();
        fs::write(state.path().join("current"), "mine").unwrap();
        assert!(matches!(switch_current(state.path(), None), Err(PublishError::NotALink(_))));
        fs::remove_file(state.path().join("current")).unwrap();
        symlink("../../etc", state.path().join("current")).unwrap();
        assert!(matches!(switch_current(state.path(), None), Err(PublishError::NotALink(_))));
    }
}
