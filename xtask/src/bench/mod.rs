//! Measurements, ours beside the peers', and the report that is made from them.

mod command;
mod curve;
mod figure;
mod figures;
pub(crate) mod machine;
mod measure;
mod peers;
mod report;
mod results;
mod summary;
pub(crate) mod table;
mod tool;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Result, bail};
use clap::Args;
use perennial_tests::repository;

use self::{
    figure::{Contender, Figure},
    machine::{Busy, Machine},
    results::{Results, Run},
};
use crate::{
    output,
    shell::{Shell, from_root},
};

/// Where everything of a measurement goes, below the root.
const FOLDER: &str = "target/bench";
/// The longest that one process may take. Where no time is measured, others may have most of the machine meanwhile.
const LIMIT: Duration = Duration::from_secs(60 * 60);
/// The longest that a contender waits for others to leave the machine in peace. Shared cores are no even handicap: torch's
/// threads wait for each other by spinning, and lose several times as much as they are kept from.
const QUIET_WAIT_MAX: Duration = Duration::from_secs(2 * 60);
const RUNS: usize = 3;
/// What a quick measurement leaves out where no figure is named: the long ones, and what needs the whole workspace built.
const NOT_QUICK: [&str; 4] = ["sft-avx512", "scaling", "reward", "precision"];

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// The figures to measure: roofline, sft, sft-avx512, sft-avx2, rollouts, grpo, embed, startup, scaling, reward, precision [default: all]
    figures: Vec<String>,
    /// Fewer steps, one run, and only the peers on torch: a few minutes, once these are installed
    #[arg(long)]
    quick: bool,
    /// How often each contender runs, in turn with the others [default: 3, or 1 with --quick and where no time is measured]
    #[arg(long)]
    runs: Option<usize>,
    /// Measure nothing: keep what was measured on this machine in tests/bench/results, and write PERFORMANCE.md
    #[arg(long, conflicts_with_all = ["figures", "quick", "runs"])]
    report: bool,
}

/// Measures figures, or makes the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.report {
        return report::write(&folder());
    }
    let machine = Machine::read();
    output::note(format!("Everything that is installed or built for the peers goes to {FOLDER}."));
    for figure in chosen(options)? {
        if let Some(needed) = figure.needs.filter(|needed| !machine.has(needed)) {
            output::result(format!("{}: this processor has no {needed}\n", figure.name));
            continue;
        }
        let runs = options.runs.unwrap_or(if options.quick || !figure.is_timed() { 1 } else { RUNS });
        let results = measure_figure(&figure, runs, options.quick, &machine)?;
        let file = results.write(&folder())?;
        output::result(summary::text(&figure, &results));
        output::note(format!("All runs are in {}.\n", from_root(file.display())));
    }
    Ok(())
}

fn chosen(options: &Options) -> Result<Vec<Figure>> {
    let mut figures = figures::figures(options.quick);
    if let Some(unknown) = options.figures.iter().find(|name| figures.iter().all(|figure| figure.name != **name)) {
        let names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
        bail!("there is no figure `{unknown}`, only {}", names.join(", "));
    }
    figures.retain(|figure| match options.figures.is_empty() {
        true => !(options.quick && NOT_QUICK.contains(&figure.name)),
        false => options.figures.iter().any(|name| name == figure.name),
    });
    if options.quick {
        figures.iter_mut().for_each(|figure| figure.contenders.retain(|contender| contender.tool.is_quick()));
    }
    Ok(figures)
}

/// Runs a figure's contenders in turn, so that what changes in the machine meanwhile meets all of them. Writes what there is after
/// each, for a figure takes long and may be broken off.
fn measure_figure(figure: &Figure, runs: usize, quick: bool, machine: &Machine) -> Result<Results> {
    output::note(format!("{}: {}", figure.name, figure.about));
    let mut results = Results {
        figure: figure.name.to_owned(),
        quick,
        machine: machine.clone(),
        commit: commit()?,
        versions: peers::versions()?,
        runs: Vec::new(),
        unavailable: BTreeMap::new(),
    };
    for tool in figure.contenders.iter().map(|contender| contender.tool).collect::<BTreeSet<_>>() {
        let Err(error) = peers::prepare(tool) else { continue };
        for contender in figure.contenders.iter().filter(|contender| contender.tool == tool) {
            results.unavailable.insert(contender.name.to_owned(), from_root(format!("{error:#}")));
        }
    }
    for run in 1..=runs {
        for contender in &figure.contenders {
            if results.unavailable.contains_key(contender.name) {
                continue;
            }
            output::note(format!("[{run}/{runs}] {}: {}", contender.name, contender.line()));
            if figure.is_timed() && !quick && !machine::wait_until_quiet(QUIET_WAIT_MAX) {
                output::note("  others do not leave the machine in peace");
            }
            match run_contender(figure, contender) {
                Ok(run) => results.runs.push(run),
                Err(error) => {
                    let reason = from_root(format!("{error:#}"));
                    output::note(format!("  {reason}"));
                    results.unavailable.insert(contender.name.to_owned(), reason);
                }
            }
            results.write(&folder())?;
        }
    }
    if let Some(curves) = &figure.curves {
        curve::measure_distances(curves, &mut results.runs)?;
    }
    Ok(results)
}

/// Where results go.
fn folder() -> PathBuf {
    repository().join(FOLDER).join("results")
}

fn run_contender(figure: &Figure, contender: &Contender) -> Result<Run> {
    let name = contender.name.replace(|char: char| !char.is_ascii_alphanumeric(), "-");
    let log = peers::log(&format!("{}-{name}", figure.name))?;
    let command = contender.shell()?.into_command();
    let (load_average, before) = (machine::load_average(), Busy::now());
    let measured = measure::measure(command, &log, LIMIT)?;
    let others = before.zip(Busy::now()).map(|(before, after)| after.others_since(before, measured.wall_seconds));
    let disturbing = |others: &f64| figure.is_timed() && *others > machine::CORES_OF_OTHERS_MAX;
    if let Some(others) = others.filter(disturbing) {
        output::note(format!(
            "  others kept {others:.1} cores busy meanwhile: measure again when the machine is quiet"
        ));
    }
    Ok(Run {
        contender: contender.name.to_owned(),
        command: contender.line(),
        load_average,
        cores_of_others: others,
        wall_seconds: measured.wall_seconds,
        measured: measured.values,
    })
}

/// The commit that is checked out, with `+` where files differ from it.
pub(crate) fn commit() -> Result<String> {
    let commit = Shell::new("git").args(["rev-parse", "--short=12", "HEAD"]).text()?;
    let changes = Shell::new("git").args(["status", "--porcelain", "--untracked-files=no"]).text()?;
    Ok(if changes.is_empty() { commit } else { format!("{commit}+") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(figures: &[&str], quick: bool) -> Result<Vec<&'static str>> {
        let figures = figures.iter().map(|name| (*name).to_owned()).collect();
        let chosen = chosen(&Options { figures, quick, runs: None, report: false })?;
        Ok(chosen.iter().map(|figure| figure.name).collect())
    }

    #[test]
    fn figures_are_chosen_by_name() {
        assert_eq!(names(&["startup", "sft"], false).unwrap(), ["sft", "startup"]);
        assert_eq!(names(&["scaling"], true).unwrap(), ["scaling"]);
        assert_eq!(names(&[], true).unwrap(), ["roofline", "sft", "sft-avx2", "rollouts", "grpo", "embed", "startup"]);
        assert!(names(&["stf"], false).unwrap_err().to_string().contains("no figure `stf`, only roofline, sft"));
    }

    #[test]
    fn quick_ones_need_torch_alone() {
        let options = Options { figures: vec!["rollouts".to_owned()], quick: true, runs: None, report: false };
        let contenders = chosen(&options).unwrap().remove(0).contenders;
        let names: Vec<&str> = contenders.iter().map(|contender| contender.name).collect();
        let ours = ["perennial f32", "perennial bf16", "perennial f32, adapter", "perennial bf16, adapter"];
        assert_eq!(names, [ours.as_slice(), &["transformers bf16"]].concat());
    }
}
