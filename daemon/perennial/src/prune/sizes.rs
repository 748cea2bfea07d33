use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// An entry of a folder, with all that lies in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it was last changed or used.
    pub(super) modified: SystemTime,
    /// Where it is.
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// The entries of a folder, the oldest first; none where there is no folder. Entries that begin with a dot are somebody's
/// unfinished work and are passed over, and so is what vanishes meanwhile.
pub(super) fn entries(folder: &Path) -> io::Result<Vec<Entry>> {
    let listed = match fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in listed {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Links are not followed: what lies behind one is not ours to remove, or to count.
        let Ok(metadata) = entry.metadata() else { continue };
        let bytes = if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
        entries.push(Entry { modified: metadata.modified()?, path: entry.path(), bytes });
    }
    entries.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    Ok(entries)
}

/// Removes the oldest entries of a folder until the others take no more than `bytes_max` and are no more than `count_max`.
/// Returns how many went.
pub(super) fn hold(folder: &Path, bytes_max: u64, count_max: usize) -> io::Result<usize> {
    let entries = entries(folder)?;
    let gone = beyond(&entries, bytes_max, count_max);
    for entry in gone {
        remove(&entry.path)?;
    }
    Ok(gone.len())
}

/// The oldest entries that have to go for the others to take no more than `bytes_max` and be no more than `count_max`.
pub(super) fn beyond(entries: &[Entry], bytes_max: u64, count_max: usize) -> &[Entry] {
    let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let mut gone = 0;
    while gone < entries.len() && (bytes > bytes_max || entries.len() - gone > count_max) {
        bytes -= entries[gone].bytes;
        gone += 1;
    }
    &entries[..gone]
}

/// Removes a file, a link or a whole folder.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(age: u64, bytes: u64) -> Entry {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age);
        Entry { modified, path: PathBuf::from(age.to_string()), bytes }
    }

    #[test]
    fn the_oldest_go_until_the_rest_is_within_both_bounds() {
        let entries = [entry(3, 10), entry(2, 10), entry(1, 10)];
        assert_eq!(beyond(&entries, 30, 3).len(), 0);
        assert_eq!(beyond(&entries, 29, 3), &entries[..1]);
        assert_eq!(beyond(&entries, 30, 1), &entries[..2]);
        assert_eq!(beyond(&entries, 0, 3).len(), 3);
        assert!(beyond(&[], 0, 0).is_empty());
    }

    #[test]
    fn folders_count_with_all_that_is_in_them_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (root.path().join("in"), root.path().join("elsewhere"));
        fs::create_dir_all(folder.join("side/deep")).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        fs::write(folder.join("side/a"), "12345").unwrap();
        fs::write(folder.join("side/deep/b"), "678").unwrap();
        fs::write(folder.join(".5-1.tmp"), "unfinished").unwrap();
        fs::write(elsewhere.join("c"), "others'").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.join("link")).unwrap();
        let found = entries(&folder).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(found.iter().find(|entry| entry.path.ends_with("side")).unwrap().bytes, 8);
        for entry in &found {
            remove(&entry.path).unwrap();
            remove(&entry.path).unwrap();
        }
        assert!(elsewhere.join("c").exists() && entries(&folder).unwrap().is_empty());
    }
}
