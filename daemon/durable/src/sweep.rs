use std::{fs, io, path::Path};

use crate::{DurableError, failed};

/// How the names of unfinished files end. They begin with a dot, so that watchers and globs pass them over.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// Removes what unfinished writes of earlier processes left in a folder (not below it), and says how many files those
/// were. Only safe while nothing is being written there: at start.
///
/// # Errors
/// Where the system refuses; a missing folder is no error.
pub fn sweep_temporary(folder: &Path) -> Result<usize, DurableError> {
    sweep(folder, false, &is_temporary)
}

/// The same in a folder and all below it, for files and folders that are `unfinished`: [`is_temporary`] for our own.
///
/// # Errors
/// As [`sweep_temporary`].
pub fn sweep_tree(folder: &Path, unfinished: impl Fn(&Path) -> bool) -> Result<usize, DurableError> {
    sweep(folder, true, &unfinished)
}

fn sweep(folder: &Path, below: bool, unfinished: &dyn Fn(&Path) -> bool) -> Result<usize, DurableError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(failed("list", folder)(error)),
    };
    let mut swept = 0;
    for entry in entries {
        let path = entry.map_err(failed("list", folder))?.path();
        let is_folder = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir());
        if unfinished(&path) {
            let removed = if is_folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(failed("remove", &path))?;
            swept += 1;
        } else if is_folder && below {
            swept += sweep(&path, below, unfinished)?;
        }
    }
    Ok(swept)
}

/// Whether a path has the name of an unfinished file or folder.
pub fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeping_takes_what_is_unfinished_alone() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("below/.copy.tmp")).unwrap();
        for name in [".7-0.tmp", "kept", "below/.8-0.tmp", "below/.copy.tmp/half"] {
            fs::write(root.join(name), "x").unwrap();
        }
        assert_eq!(sweep_temporary(root).unwrap(), 1);
        assert!(root.join("below/.8-0.tmp").exists());
        assert_eq!(sweep_tree(root, is_temporary).unwrap(), 2);
        assert_eq!(fs::read_dir(root.join("below")).unwrap().count(), 0);
        assert!(root.join("kept").exists());
        assert_eq!(sweep_tree(&root.join("missing"), is_temporary).unwrap(), 0);
    }
}
