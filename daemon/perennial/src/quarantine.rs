//! What lies in quarantine, as the daemon and the command line tell it.

use std::fs;

use anyhow::Context as _;
use perennial_data::{
    quarantine::{QuarantineError, QuarantineFolder},
    rows::source_name,
};

use crate::{
    answers::{Entry, KeptFile, Lines, Listing, NotFound},
    files::{move_into, open_regular},
    state::StateDir,
};

/// Files that a list names; the first by their names.
const FILES_LISTED_MAX: usize = 200;

/// Lines that one answer shows.
const LINES_SHOWN_MAX: usize = 1000;

/// What there is.
///
/// # Errors
/// Where the folder cannot be read.
pub(crate) fn list(state: &StateDir) -> anyhow::Result<Listing> {
    let folder = QuarantineFolder::new(&state.quarantine());
    let names = folder.names()?;
    let mut listing = Listing { files: kept_files(state)?, ..Default::default() };
    let skipped = names.len().saturating_sub(FILES_LISTED_MAX);
    for name in names.iter().skip(skipped) {
        match folder.entry(name) {
            Ok(entry) => listing.rows.push(Entry {
                name: entry.name,
                source: entry.source,
                bytes: entry.bytes,
                kinds: entry.kinds,
                reasons: entry.reasons,
            }),
            // It went away meanwhile.
            Err(QuarantineError::Unknown(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let files_left_off = listing.files.len().saturating_sub(FILES_LISTED_MAX);
    listing.files.truncate(FILES_LISTED_MAX);
    listing.left_off = (skipped + files_left_off) as u64;
    Ok(listing)
}

fn kept_files(state: &StateDir) -> anyhow::Result<Vec<KeptFile>> {
    let folder = state.quarantined_files();
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(Vec::new()) };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("{} cannot be listed", folder.display()))?;
        let Ok(metadata) = entry.metadata() else { continue };
        let name = source_name(&entry.file_name().to_string_lossy());
        files.push(KeptFile { name, bytes: metadata.len() });
    }
    files.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// Gives a file that was moved here as a whole back to the inbox, where it is taken in again.
///
/// # Errors
/// Where there is no such file, or it cannot be moved.
pub(crate) fn give_back(state: &StateDir, name: &str) -> anyhow::Result<()> {
    let folder = state.quarantined_files();
    let found = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .find(|entry| source_name(&entry.file_name().to_string_lossy()) == name);
    let Some(entry) = found else {
        return Err(unknown_is_not_found(QuarantineError::Unknown(format!("files/{name}"))));
    };
    let (file, _) = open_regular(&entry.path()).with_context(|| format!("files/{name} cannot be opened"))?;
    move_into(&entry.path(), &file, state.inbox()).with_context(|| format!("files/{name} cannot be moved"))?;
    Ok(())
}

/// The lines of one file.
///
/// # Errors
/// Where there is no such file, or it cannot be read.
pub(crate) fn show(state: &StateDir, name: &str) -> anyhow::Result<Lines> {
    let folder = QuarantineFolder::new(&state.quarantine());
    let mut shown = Lines::default();
    for line in folder.open(name).map_err(unknown_is_not_found)? {
        let line = line?;
        if shown.lines.len() < LINES_SHOWN_MAX {
            shown.lines.push(line);
        } else {
            shown.left_off += 1;
        }
    }
    Ok(shown)
}

/// An error that says that something was not found, where it does.
pub(crate) fn unknown_is_not_found(error: QuarantineError) -> anyhow::Error {
    match error {
        QuarantineError::Unknown(name) => anyhow::Error::new(NotFound(format!(
            "{name:?} in quarantine: `perennial quarantine list` names what there is"
        ))),
        error => error.into(),
    }
}
