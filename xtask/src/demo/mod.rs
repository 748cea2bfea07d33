mod act;
mod scene;
mod show;
mod watch;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use perennial_tests::{Daemon, Program, repository};
use serde_json::Value;

use self::scene::{Question, Scene};
use crate::{
    output, running,
    shell::{Shell, from_root, target_folder},
    tickets,
};

/// How to run the demo.
#[derive(Args)]
pub(crate) struct Options {
    /// The tiny test model instead of SmolLM2: under a minute, and nothing is downloaded
    #[arg(long)]
    tiny: bool,
    /// The second act instead: four small tasks one after the other, learned by the shipped configuration and by naive tuning,
    /// and what each forgets
    #[arg(long)]
    stream: bool,
    /// Leave the daemon running at the end, to try its interfaces
    #[arg(long, conflicts_with = "stream")]
    keep: bool,
}

/// Runs one cycle on a fresh state directory and shows what came of it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let scene = if options.tiny { Scene::tiny() } else { Scene::smollm2() };
    output::note(
        "Installs nothing on the system: the build went to the target folder, the state directory goes below it.",
    );
    if options.stream {
        return act::second(options.tiny);
    }
    let program = Program::new(&repository().join(scene.config), &fresh_state_directory(scene.name)?)?;
    if let Some(model) = scene.model {
        output::note(format!("Downloads {model}, unless it is there already."));
        Shell::program(&program, &["model", "pull", model]).run()?;
    }

    let questions = scene.questions()?;
    output::note("Asking the model three questions of the new task …");
    let before = answers(&program, &questions, None)?;
    output::note(format!("$ {}", from_root(program.line(&["run"]))));
    let mut daemon = Daemon::start(&program)?;
    for file in scene.data {
        output::note(format!("Dropping {file} into the inbox"));
        drop_into_inbox(&repository().join(file), program.state())?;
    }
    let cycle = watch::cycle(&mut daemon, program.state())?;
    let after = answers(&program, &questions, Some(&cycle.adapter))?;

    show::answers(&questions, &before, &after);
    show::report(program.state(), &cycle)?;
    show::ways_on(&program, &cycle, &questions);
    if options.keep {
        output::result(format!("The daemon goes on, process {}: http://{}", daemon.id(), daemon.http.address()));
        daemon.leave_running();
    }
    ensure!(cycle.promoted, "the gate refused the adapter; the report above says why");
    Ok(())
}

/// Writes the training file and the golden suite of the new task.
pub(crate) fn write_data() -> Result<()> {
    for (file, rows) in generated() {
        fs::write(repository().join(file), lines(&rows)).with_context(|| format!("writing {file}"))?;
        output::note(format!("{file}: {} rows", rows.len()));
    }
    Ok(())
}

/// What the generator writes, by file.
fn generated() -> [(&'static str, Vec<Value>); 2] {
    let (training, suite) = tickets::rows();
    [(tickets::TRAINING_FILE, training), (tickets::SUITE_FILE, suite)]
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| format!("{row}\n")).collect()
}

fn fresh_state_directory(name: &str) -> Result<PathBuf> {
    let state = target_folder()?.join("demo").join(name);
    ensure_unused(&state)?;
    if state.exists() {
        fs::remove_dir_all(&state).with_context(|| format!("removing {}", state.display()))?;
    }
    fs::create_dir_all(state.join("inbox")).with_context(|| format!("making {}", state.display()))?;
    Ok(state)
}

/// No daemon of an earlier `--keep`, or of a demo in another terminal, answers where this state directory says.
fn ensure_unused(state: &Path) -> Result<()> {
    match running::daemon(state) {
        None => Ok(()),
        Some(process) => {
            bail!("another demo's daemon runs on {}: stop it first, with `kill {process}`", state.display())
        }
    }
}

fn answers(program: &Program, questions: &[Question], adapter: Option<&str>) -> Result<Vec<String>> {
    questions.iter().map(|question| answer(program, question, adapter)).collect()
}

fn answer(program: &Program, question: &Question, adapter: Option<&str>) -> Result<String> {
    let mut arguments = vec!["generate", "--temperature", "0", "--max-tokens", "48", "--prompt", &question.text];
    arguments.extend(adapter.iter().flat_map(|adapter| ["--adapter", adapter]));
    Ok(program.run(&arguments)?.success()?.trim().to_owned())
}

/// As a careful writer does: under another name first, then renamed, so that the daemon never sees half a file.
fn drop_into_inbox(file: &Path, state: &Path) -> Result<()> {
    let name = file.file_name().with_context(|| format!("{} is no file", file.display()))?;
    let unfinished = state.join("unfinished");
    fs::copy(file, &unfinished).with_context(|| format!("copying {}", file.display()))?;
    fs::rename(&unfinished, state.join("inbox").join(name)).context("renaming into the inbox")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_everyday_question_comes_twice_or_is_in_the_golden_suite() {
        let files = [scene::EVERYDAY_FILE, "config/examples/demo/suites/general.jsonl"];
        let text = files.map(|file| fs::read_to_string(repository().join(file)).unwrap()).concat();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let questions: Vec<String> = rows.map(|row| row["messages"][0]["content"].to_string()).collect();
        assert_eq!(questions.iter().collect::<BTreeSet<_>>().len(), questions.len());
    }

    #[test]
    fn committed_data_is_what_the_generator_writes() {
        for (file, rows) in generated() {
            let committed = fs::read_to_string(repository().join(file)).unwrap();
            assert!(committed == lines(&rows), "{file} differs: run `cargo xtask demo-data`");
        }
    }
}
