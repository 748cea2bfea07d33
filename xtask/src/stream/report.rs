//! `docs/learning.md`, made from results that are kept beside it; no number in it is from elsewhere.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use perennial_tests::repository;

use super::{markdown, results::Results, stage};
use crate::output;

const REPORT: &str = "docs/learning.md";
/// Results that the report is made from, a folder for each, with its pictures.
const KEPT: &str = "docs/learning";
/// What no command prints: what the numbers mean for the defaults. It may be missing.
const NOTES: &str = "docs/learning/notes.md";

const INTRODUCTION: &str = "# Learning that lasts

What Perennial learns from a sequence of tasks, and what it forgets, beside naive sequential tuning, training on all tasks at once, and
each task alone. `cargo xtask stream` measures it through the running daemon and its gate; `cargo xtask stream --report` makes this
file from what it measured. Every command can be broken off and goes on where it was.

`R[t, i]` is the score on task `i` after learning task `t`; row 0 is the base model. The suites that measure it decide nothing in
the gate, which sees only what the shipped configuration gives it.
";

/// Keeps the results of a folder, and writes the report from all that are kept.
pub(super) fn write(measured: &Path) -> Result<()> {
    let results = Results::read(&measured.join(stage::RESULTS_FILE))?;
    if !results.is_whole() {
        bail!("{} of {} steps are done: the stream has to come to its end first", results.done.0, results.done.1);
    }
    let name = measured.file_name().context("--out names no folder")?;
    let folder = repository().join(KEPT).join(name);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let kept = folder.join(stage::RESULTS_FILE);
    fs::write(&kept, results.json()?).with_context(|| format!("writing {}", kept.display()))?;
    for (file, text) in made(repository())? {
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    output::note(format!("{REPORT} is written from {KEPT}."));
    Ok(())
}

/// The report and its pictures, from what is kept under a root.
fn made(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut files = Vec::new();
    let mut text = INTRODUCTION.to_owned();
    for folder in folders(&root.join(KEPT))? {
        let results = Results::read(&folder.join(stage::RESULTS_FILE))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        text += &format!("\n## {name}\n\n```sh\n{}\n```\n\n", results.command);
        text += &format!("![What is known of the tasks learned so far](learning/{name}/{})\n\n", stage::AVERAGES_FILE);
        text += &markdown::text(&results, |arm| format!("learning/{name}/{arm}.svg"));
        files.extend(stage::pictures(&results)?.into_iter().map(|(file, picture)| (folder.join(file), picture)));
    }
    let notes = root.join(NOTES);
    if notes.is_file() {
        let notes = fs::read_to_string(&notes).with_context(|| format!("reading {NOTES}"))?;
        text += &format!("\n{notes}");
    }
    files.push((root.join(REPORT), text));
    Ok(files)
}

/// The folders in this one, sorted; none where it is not there.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", folder.display())),
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut folders: Vec<PathBuf> = paths.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_report_is_what_the_committed_results_make() {
        for (file, text) in made(repository()).unwrap() {
            let committed = fs::read_to_string(&file).unwrap_or_default();
            assert!(committed == text, "{} differs: run `cargo xtask stream --report`", file.display());
        }
    }
}
