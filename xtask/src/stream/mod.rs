//! A sequence of tasks through the running daemon, arm by arm: what is learned, and what is forgotten.

mod arm;
mod bootstrap;
mod drive;
mod formulas;
mod journal;
mod markdown;
mod matrix;
mod norm;
mod observed;
pub(crate) mod picture;
mod plan;
mod play;
mod report;
pub(crate) mod results;
mod scene;
mod settings;
pub(crate) mod stage;
mod statistics;
mod summary;
mod task;
mod tasks;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use perennial_tests::repository;

use self::{
    results::Results,
    scene::Scene,
    stage::Stage,
    task::{Suite, Task},
};
use crate::{
    output,
    shell::{from_root, target_folder},
};

/// How to stream.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Options {
    /// The tiny test model and tasks that it can learn: a few minutes, and nothing is downloaded
    #[arg(long, conflicts_with_all = ["model", "data"])]
    pub(crate) tiny: bool,
    /// The base model: the name of one to pull, or the path of one [default: smollm2-135m-instruct]
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// A folder with NAME_train.jsonl and NAME_eval.jsonl for each task, in place of the project's own tasks; may be given again
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Vec<PathBuf>,
    /// The tasks, by name, in the first order [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub(crate) tasks: Vec<String>,
    /// A file of rows that must not be forgotten, beside everyday questions; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) general: Vec<PathBuf>,
    /// A configuration whose tables cycle, ingest, replay and train stand under every arm [default: what ships]
    #[arg(long, value_name = "FILE", conflicts_with = "tiny")]
    pub(crate) config: Option<PathBuf>,
    /// The arms, each a file of xtask/src/stream/arms by its name, or a file of your own that ends in .toml
    #[arg(long, value_delimiter = ',', value_name = "NAME,…", default_value = "base,default,naive,joint,single")]
    pub(crate) arms: Vec<String>,
    /// Rows of each task that are trained on [default: 200, or 100 with --tiny]
    #[arg(long)]
    pub(crate) rows: Option<usize>,
    /// Items of each suite that are asked [default: 100, or 30 with --tiny]
    #[arg(long)]
    pub(crate) items: Option<usize>,
    /// Orders of the tasks: as they come, backwards, and then at random [default: 3, or 1 with --tiny]
    #[arg(long)]
    pub(crate) orders: Option<usize>,
    /// Seeds, each with rows and draws of its own [default: 2, or 1 with --tiny]
    #[arg(long)]
    pub(crate) seeds: Option<u64>,
    /// Where everything goes; what is done there is not done again [default: target/stream/NAME]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Only say what would be done, and about how long it takes
    #[arg(long)]
    pub(crate) plan: bool,
    /// Measure nothing: keep what --out measured in docs/learning, and write docs/learning.md
    #[arg(long)]
    pub(crate) report: bool,
}

/// Streams, or makes the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = options.folder()?;
    if options.report {
        return report::write(&folder);
    }
    output::note(
        "Installs nothing on the system: the build went to the target folder, all else goes below it or to --out.",
    );
    if play(options)?.is_none() {
        return Ok(());
    }
    let report = fs::read_to_string(folder.join(stage::REPORT_FILE)).context("the report")?;
    let head: Vec<&str> = report.lines().take_while(|line| !line.starts_with("- **")).collect();
    output::result(head.join("\n").trim_end());
    output::note(format!("All of it: {}", from_root(folder.join(stage::REPORT_FILE).display())));
    Ok(())
}

/// Streams with a program that is built; nothing comes of `--plan`.
pub(crate) fn play(options: &Options) -> Result<Option<Results>> {
    let folder = options.folder()?;
    let _lock = stage::lock(&folder)?;
    let arms = arm::load_all(&options.arms)?;
    let stage = options.stage(folder)?;
    stage.check()?;
    play::play(&stage, arms, options)
}

impl Options {
    fn small<T>(&self, given: Option<T>, real: T, tiny: T) -> T {
        given.unwrap_or(if self.tiny { tiny } else { real })
    }

    fn folder(&self) -> Result<PathBuf> {
        if let Some(out) = &self.out {
            return std::path::absolute(out).context("--out");
        }
        let name = match (self.tiny, self.data.is_empty()) {
            (true, _) => "tiny",
            (false, true) => "own",
            (false, false) => "data",
        };
        Ok(target_folder()?.join("stream").join(name))
    }

    fn stage(&self, folder: PathBuf) -> Result<Stage> {
        let (rows, items) = (self.small(self.rows, 200, 100), self.small(self.items, 100, 30));
        ensure!(rows > 0 && items > 0, "--rows and --items must be 1 or more");
        let scene =
            if self.tiny { Scene::tiny()? } else { Scene::real(self.model.as_deref(), self.config.as_deref())? };
        let mut general = vec![Suite::general(&scene.general.0, Some(scene.general.1), items)?];
        for file in &self.general {
            let suite = Suite::general(file, None, items)?;
            ensure!(
                general.iter().all(|other| other.name != suite.name),
                "two general files are called {}",
                suite.name
            );
            general.push(suite);
        }
        let tasks = self.tasks(rows, items)?;
        Ok(Stage { folder, scene, tasks, general, rows })
    }

    fn tasks(&self, rows: usize, items: usize) -> Result<Vec<Task>> {
        let own = tasks::OWN.map(|task| (task.name.to_owned(), Source::Own(task)));
        let there: Vec<(String, Source)> = match (self.tiny, self.data.is_empty()) {
            (true, _) => tiny_tasks(),
            (false, true) => own.into(),
            (false, false) => {
                task::pairs(&self.data)?.into_iter().map(|(name, pair)| (name, Source::Files(pair))).collect()
            }
        };
        let names: Vec<&String> = there.iter().map(|(name, _)| name).collect();
        let chosen = if self.tasks.is_empty() { names.clone() } else { self.tasks.iter().collect() };
        let mut tasks: Vec<Task> = Vec::new();
        for name in chosen {
            let Some((_, source)) = there.iter().find(|(other, _)| other == name) else {
                let names = names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
                bail!("there is no task `{name}`, only {names}");
            };
            ensure!(tasks.iter().all(|task| &task.name != name), "the task `{name}` is named twice");
            tasks.push(match source {
                Source::Own(task) => Task::own(task, rows, items)?,
                Source::Files((train, eval)) => Task::read(name, train, eval, items)?,
            });
        }
        Ok(tasks)
    }
}

/// Where a task's rows come from.
enum Source {
    Own(&'static tasks::Own),
    Files((PathBuf, PathBuf)),
}

/// What the tiny test model can learn. The last overwrites the first, unless both are trained on.
fn tiny_tasks() -> Vec<(String, Source)> {
    let folder: &Path = &repository().join("tests/goldens/tiny/tasks");
    let files = |name: &str| {
        let file = |side: &str| folder.join(format!("{name}_{side}.jsonl"));
        (name.to_owned(), Source::Files((file("train"), file("suite"))))
    };
    vec![files("tickets"), files("zun"), (tasks::FORMS.name.to_owned(), Source::Own(tasks::FORMS))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_chosen_by_name_in_the_order_given() {
        let named = |names: &[&str]| {
            let tasks = names.iter().map(|name| (*name).to_owned()).collect();
            let options = Options { tasks, tiny: true, ..Options::default() };
            Ok(options.tasks(10, 5)?.into_iter().map(|task| task.name).collect::<Vec<_>>())
        };
        let error = |names: &[&str]| named(names).map_err(|error: anyhow::Error| error.to_string()).unwrap_err();
        assert_eq!(named(&["zun", "tickets"]).unwrap(), ["zun", "tickets"]);
        assert_eq!(named(&[]).unwrap(), ["tickets", "zun", "forms"]);
        assert_eq!(error(&["tikets"]), "there is no task `tikets`, only tickets, zun, forms");
        assert_eq!(error(&["zun", "zun"]), "the task `zun` is named twice");
    }
}
