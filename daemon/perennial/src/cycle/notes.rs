//! What the phases of a cycle have to tell the reader of its report: rows that were left out, work that was cut short. Each
//! writer has a file of its own in the cycle's folder and writes it whole, so that a phase that is done twice tells it once.

use std::{fs, io, path::PathBuf};

use anyhow::Context as _;
use perennial_durable as durable;
use perennial_types::shortened;

use super::CycleFolder;

/// The most notes of one writer that are kept; how many more there were is told.
const NOTES_MAX: usize = 50;
/// The longest note, in characters.
const NOTE_CHARS_MAX: usize = 500;

/// Keeps the notes of one writer, in place of what it wrote before. `writer` names its file: a phase, or a part of one.
/// Files are read in the order of their names, so begin it with the phase's number: `2-mix`, `3-sft`.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn write(folder: &CycleFolder, writer: &str, notes: &[String]) -> anyhow::Result<()> {
    let path = folder.notes().join(format!("{writer}.json"));
    if notes.is_empty() && !path.exists() {
        return Ok(());
    }
    let mut kept: Vec<String> = notes.iter().take(NOTES_MAX).map(|note| shortened(note, NOTE_CHARS_MAX)).collect();
    if notes.len() > kept.len() {
        kept.push(format!("{} more of this kind are not shown.", notes.len() - kept.len()));
    }
    Ok(durable::write_durably(&path, &serde_json::to_vec(&kept)?)?)
}

/// All notes, by the names of their writers.
///
/// # Errors
/// Where a file cannot be read.
pub(super) fn read(folder: &CycleFolder) -> anyhow::Result<Vec<String>> {
    let entries = match fs::read_dir(folder.notes()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context("the notes of the cycle cannot be listed"),
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    let mut paths: Vec<PathBuf> =
        paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    paths.sort();
    let mut notes = Vec::new();
    for path in paths {
        let json = fs::read(&path).with_context(|| path.display().to_string())?;
        notes.extend(serde_json::from_slice::<Vec<String>>(&json).with_context(|| path.display().to_string())?);
    }
    Ok(notes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_comes_twice_is_heard_once_and_in_its_place() {
        let root = tempfile::tempdir().unwrap();
        let folder = CycleFolder::new(root.path().to_owned());
        assert_eq!(read(&folder).unwrap(), Vec::<String>::new());
        write(&folder, "3-sft", &["trained".to_owned()]).unwrap();
        for _ in 0..2 {
            write(&folder, "2-mix", &["left out".to_owned()]).unwrap();
        }
        assert_eq!(read(&folder).unwrap(), ["left out", "trained"]);
        write(&folder, "3-sft", &[]).unwrap();
        assert_eq!(read(&folder).unwrap(), ["left out"]);
    }

    #[test]
    fn too_many_or_too_long_notes_are_cut_and_counted() {
        let root = tempfile::tempdir().unwrap();
        let folder = CycleFolder::new(root.path().to_owned());
        write(&folder, "1-many", &vec!["ü".repeat(NOTE_CHARS_MAX + 9); NOTES_MAX + 3]).unwrap();
        let notes = read(&folder).unwrap();
        assert_eq!(notes.last().unwrap(), "3 more of this kind are not shown.");
        assert_eq!((notes.len(), notes[0].chars().count()), (NOTES_MAX + 1, NOTE_CHARS_MAX + 1));
    }
}
