use std::{collections::BTreeSet, fs, io, path::Path};

use perennial_durable::{self as durable, DurableError};

use super::SEGMENTS_FOLDER;

/// Deletes the segments below `root`, the state directory, that are not `known` to the catalogue (by
/// [`SegmentFile::path`](super::SegmentFile::path)), with what unfinished writes left, and returns their paths, sorted.
/// They were never acknowledged, so their rows come again with their source. Only safe while nothing is being ingested: at start.
///
/// # Errors
/// Where the system refuses; a missing folder is no error.
pub fn sweep_orphans(root: &Path, known: &BTreeSet<String>) -> Result<Vec<String>, DurableError> {
    let mut swept = Vec::new();
    for day in names(&root.join(SEGMENTS_FOLDER))? {
        let folder = root.join(SEGMENTS_FOLDER).join(&day);
        if !folder.is_dir() {
            continue;
        }
        let before = swept.len();
        for name in names(&folder)? {
            let file = folder.join(&name);
            let path = format!("{SEGMENTS_FOLDER}/{day}/{name}");
            let orphan = name.ends_with(".parquet") && !known.contains(&path);
            if orphan || durable::is_temporary(&file) {
                fs::remove_file(&file).map_err(durable::failed("remove", &file))?;
                swept.push(path);
            }
        }
        if swept.len() > before {
            durable::sync_folder(&folder)?;
        }
    }
    swept.sort_unstable();
    Ok(swept)
}

/// What a folder holds, as far as this program may have named it.
fn names(folder: &Path) -> Result<Vec<String>, DurableError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(durable::failed("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(durable::failed("list", folder))?.file_name().into_string());
    }
    Ok(names)
}
