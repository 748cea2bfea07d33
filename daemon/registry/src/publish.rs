//! Adapter folders that never change, and the link to the one in service. Functions of the file system alone: what is in
//! service is the registry's to say, and these make the disk agree. Each can be repeated after a crash.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{PermissionsExt, symlink},
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
    let copied = copy_adapter(from, &target)?;
    if copied == files { Ok(files) } else { Err(changed(target, &files, &copied)) }
}

/// Copies a PEFT folder, whole or not at all, read-only, and returns the fingerprint of the copy's files. The folder that
/// holds the copy must be there, the copy must not.
///
/// # Errors
/// Where the folder cannot be read or the copy cannot be written.
pub fn copy_adapter(from: &Path, to: &Path) -> Result<Fingerprint, PublishError> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let incoming = to.with_file_name(format!(".incoming-{name}"));
    if incoming.exists() {
        fs::remove_dir_all(&incoming).map_err(io_error("remove what a crash left", &incoming))?;
    }
    fs::create_dir(&incoming).map_err(io_error("create", &incoming))?;
    for (name, path) in plain_files(from)? {
        copy_durably(&path, &incoming.join(name))?;
    }
    sync_folder(&incoming)?;
    let files = fingerprint_files(&incoming)?;
    fs::rename(&incoming, to).map_err(io_error("rename to its name", to))?;
    sync_folder(to.parent().unwrap_or(Path::new(".")))?;
    Ok(files)
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
