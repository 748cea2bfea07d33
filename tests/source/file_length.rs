//! One file, one idea: what needs more lines than this is more than one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use perennial_tests::repository;

const LINES_MAX: usize = 300;

/// Where files are held to it.
const FOLDERS: [&str; 5] = ["daemon", "sdk", "plugins", "tests", "xtask"];

/// Built or fetched, not written.
const NOT_OURS: [&str; 4] = ["target", "node_modules", "build", "results"];

/// What is longer, and one idea.
const ONE_PIECE: [&str; 2] = [
    // A table: every figure, each with its contenders.
    "xtask/src/bench/figures.rs",
    // A call for each way to change a file, and the filter that leads to them; tests compile it by itself.
    "tests/crash/recorder.c",
];

#[test]
fn no_file_is_longer_than_one_idea() {
    let (mut long, mut files) = (Vec::new(), Vec::new());
    FOLDERS.iter().for_each(|folder| sources(&repository().join(folder), &mut files));
    for file in files {
        let name = file.strip_prefix(repository()).unwrap().to_str().unwrap();
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        if lines > LINES_MAX && !ONE_PIECE.contains(&name) {
            long.push(format!("{name}: {lines} lines"));
        }
    }
    assert!(long.is_empty(), "more than {LINES_MAX} lines; split them by what they are about:\n{}", long.join("\n"));
}

/// All files of source text below a folder.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_ours = path.file_name().is_none_or(|name| NOT_OURS.iter().all(|other| name != *other));
        if path.is_dir() && is_ours {
            sources(&path, files);
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_file()
            && extension.is_some_and(|extension| ["c", "js", "py", "rs", "ts", "wit"].contains(&extension))
        {
            files.push(path);
        }
    }
}
