//! The folder of a stream: what it is played with, what is done of it, and what comes of that.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use perennial_tests::Program;
use serde_json::{Value, json};

use super::{
    arm::Shape,
    drive,
    journal::{self, Entry},
    observed::{LIKENESS, Suites},
    picture,
    plan::{Run, Step},
    results::{ArmKept, Results},
    scene::Scene,
    settings,
    summary::{DEFAULT, NAIVE},
    task::{self, PERPLEXITY, Suite, Task},
};
use crate::output;

/// The results, below the folder.
pub(crate) const RESULTS_FILE: &str = "results.json";
/// The same for a reader.
pub(crate) const REPORT_FILE: &str = "results.md";
/// The picture of all arms.
pub(crate) const AVERAGES_FILE: &str = "averages.svg";
/// What a folder was begun with.
const PLAN_FILE: &str = "plan.json";

/// What a stream is played with.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    pub(super) scene: Scene,
    pub(super) tasks: Vec<Task>,
    pub(super) general: Vec<Suite>,
    /// Rows that are trained on, of each task.
    pub(super) rows: usize,
}

impl Stage {
    /// That the folder was begun with the same, or not begun yet.
    pub(super) fn check(&self) -> Result<()> {
        let path = self.folder.join(PLAN_FILE);
        let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
        let begun: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let plan = self.plan();
        let other: Vec<&str> = ["model", "settings", "rows", "tasks", "general"]
            .into_iter()
            .filter(|key| begun[key] != plan[key])
            .collect();
        ensure!(
            other.is_empty(),
            "{} was begun with other {}: name another folder with --out, or remove this one",
            self.folder.display(),
            other.join(", ")
        );
        Ok(())
    }

    /// Writes down what the folder is for, and what is asked.
    pub(super) fn claim(&self) -> Result<()> {
        journal::write(&self.folder.join(PLAN_FILE), &serde_json::to_string_pretty(&self.plan())?)?;
        let suites = self.tasks.iter().map(|task| &task.suite).chain(&self.general);
        for suite in suites {
            journal::write(&self.suite_file(&suite.name), &lines(suite.rows.iter()))?;
        }
        Ok(())
    }

    /// All that a score depends on, beside the program.
    fn plan(&self) -> Value {
        let hash = |rows: &[Value]| blake3::hash(lines(rows.iter()).as_bytes()).to_hex().to_string();
        let suite = |suite: &Suite| json!({ "name": suite.name, "metric": suite.metric, "rows": hash(&suite.rows), "max_new_tokens": suite.max_new_tokens });
        let tasks = self.tasks.iter().map(|task| json!({ "train": hash(&task.train), "suite": suite(&task.suite) }));
        json!({
            "model": self.scene.model,
            "settings": self.scene.settings,
            "rows": self.rows,
            "tasks": tasks.collect::<Vec<_>>(),
            "general": self.general.iter().map(suite).collect::<Vec<_>>(),
        })
    }

    fn suite_file(&self, suite: &str) -> PathBuf {
        self.folder.join("suites").join(format!("{suite}.jsonl"))
    }

    pub(super) fn journal(&self, run: &Run<'_>) -> PathBuf {
        self.folder.join("runs").join(&run.name).join("journal.jsonl")
    }

    /// The suites of a run, in the order in which it learns.
    pub(super) fn suites_of(&self, order: &[usize]) -> Suites {
        let of = |likelihood: bool| self.general.iter().filter(move |suite| suite.is_likelihood() == likelihood);
        let names = |suites: Vec<&Suite>| suites.into_iter().map(|suite| suite.name.clone()).collect();
        Suites {
            tasks: names(order.iter().map(|task| &self.tasks[*task].suite).collect()),
            general: names(of(false).collect()),
            likelihoods: names(of(true).collect()),
        }
    }

    /// The suite of the base model's own answers, which it gives here the first time.
    pub(super) fn likeness(&self, program: &Program) -> Result<Suite> {
        let path = self.suite_file(LIKENESS);
        if !path.is_file() {
            let general = self.general.iter().flat_map(|suite| &suite.rows);
            let prompts: Vec<&str> = general.filter_map(Suite::question).collect();
            let prompts: Vec<&str> = task::spread(&prompts, self.scene.base_prompts).copied().collect();
            output::note(format!("Asking the base model {} general prompts …", prompts.len()));
            let answers = drive::base_answers(program, &prompts, self.scene.base_tokens)?;
            let row = |(prompt, answer)| json!({ "prompt": prompt, "completion": answer });
            let rows = prompts.iter().zip(&answers).filter(|(_, answer)| !answer.is_empty()).map(row);
            journal::write(&path, &lines(rows.collect::<Vec<_>>().iter()))?;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let rows = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        Ok(Suite {
            name: LIKENESS.to_owned(),
            metric: PERPLEXITY.to_owned(),
            max_new_tokens: self.scene.base_tokens,
            rows,
        })
    }

    /// The suites that a step asks.
    pub(super) fn asked<'a>(&'a self, run: &Run<'_>, step: &Step, likeness: &'a Suite) -> Vec<&'a Suite> {
        let tasks = self.tasks.iter().enumerate();
        let tasks = tasks.filter(|(at, _)| run.arm.recipe.shape != Shape::Single || step.tasks.contains(at));
        tasks.map(|(_, task)| &task.suite).chain(&self.general).chain([likeness]).collect()
    }

    /// The configuration of a run's step, as its file has it. `budget` are the optimiser steps that it has to take.
    pub(super) fn config(&self, run: &Run<'_>, step: &Step, likeness: &Suite, budget: Option<u64>) -> Result<String> {
        let asked = self.asked(run, step, likeness);
        let files: Vec<PathBuf> = asked.iter().map(|suite| self.suite_file(&suite.name)).collect();
        let files: Vec<PathBuf> = files.iter().map(std::path::absolute).collect::<Result<_, _>>()?;
        let rows = self.rows_of(step);
        let setting = settings::Setting {
            scene: &self.scene,
            suites: asked.into_iter().zip(files.iter().map(PathBuf::as_path)).collect(),
            rows: self.rows * self.tasks.len(),
            seed: run.key.seed,
            budget: budget.map(|steps| (steps, rows)),
        };
        Ok(toml::to_string(&settings::config(run.arm, &setting))?)
    }

    /// How many rows come in.
    pub(super) fn rows_of(&self, step: &Step) -> usize {
        step.tasks.iter().map(|task| self.tasks[*task].train.len().min(self.rows)).sum()
    }

    /// Does a step of a run, behind those that are done.
    pub(super) fn carry_out(
        &self,
        run: &Run<'_>,
        step: &Step,
        likeness: &Suite,
        done: &[Entry],
        budget: Option<u64>,
    ) -> Result<Entry> {
        let place = self.folder.join("runs").join(&run.name).join(&step.place);
        let state = place.join("state");
        fs::create_dir_all(&state).with_context(|| format!("making {}", state.display()))?;
        let config = place.join("perennial.toml");
        journal::write(&config, &self.config(run, step, likeness, budget)?)?;
        let mut files = Vec::new();
        for task in step.tasks.iter().map(|task| &self.tasks[*task]) {
            let file = place.join(format!("{}.jsonl", task.name));
            journal::write(&file, &lines(task.drawn(self.rows, run.key.seed)))?;
            files.push(file);
        }
        let names: Vec<String> = step.tasks.iter().map(|task| self.tasks[*task].name.clone()).collect();
        let before = if step.cycle == 1 { None } else { done.last() };
        let work = drive::Work {
            program: &Program::new(&config, &std::path::absolute(&state)?)?,
            label: format!("{}, step {} of {}: {}", run.name, step.number, run.steps.len(), names.join(" + ")),
            rows: &files.iter().map(PathBuf::as_path).collect::<Vec<_>>(),
            cycle: step.cycle,
            force: run.arm.recipe.force,
            before: before.map(|entry| &entry.scores),
        };
        let entry = drive::carry_out(&work, step.number, names)
            .with_context(|| format!("{}; its files are in {}", work.label, place.display()))?;
        for suite in self.asked(run, step, likeness) {
            let asked = entry.scores.get(&suite.name).map_or(0, Vec::len);
            ensure!(asked == suite.rows.len(), "{}: {asked} of {} items were asked", suite.name, suite.rows.len());
        }
        clear(&state.join("cycles").join(format!("{:06}", step.cycle)))?;
        Ok(entry)
    }

    /// Writes the results, the report and the pictures.
    pub(super) fn publish(&self, results: &Results) -> Result<String> {
        let report = super::markdown::text(results, |arm| format!("{arm}.svg"));
        journal::write(&self.folder.join(RESULTS_FILE), &results.json()?)?;
        journal::write(&self.folder.join(REPORT_FILE), &report)?;
        for (file, picture) in pictures(results)? {
            journal::write(&self.folder.join(file), &picture)?;
        }
        Ok(report)
    }
}

/// The pictures of results: one of all arms, and one of each.
pub(super) fn pictures(results: &Results) -> Result<Vec<(String, String)>> {
    let mut arms: Vec<&ArmKept> = results.arms.iter().filter(|arm| !arm.runs.is_empty()).collect();
    arms.sort_by_key(|arm| [DEFAULT, NAIVE].iter().position(|name| *name == arm.name).unwrap_or(usize::MAX));
    let lines = arms.iter().map(|arm| picture::averages(&arm.name, &arm.matrix));
    let lines: Vec<picture::Line> = lines.filter(|line| line.values.iter().flatten().count() > 1).collect();
    let mut pictures = vec![(AVERAGES_FILE.to_owned(), picture::of_arms(&lines)?)];
    for arm in arms {
        let names = match results.orders.as_slice() {
            [one] => one.clone(),
            _ => (1..=arm.matrix.tasks()).map(|at| format!("task {at}")).collect(),
        };
        pictures.push((format!("{}.svg", arm.name), picture::of_arm(&arm.name, &arm.matrix, &names)?));
    }
    Ok(pictures)
}

/// Takes what a cycle that has ended needs no more: several times its adapter, which stays among the adapters.
fn clear(cycle: &Path) -> Result<()> {
    for folder in ["checkpoints", "parent", "candidate"].map(|name| cycle.join(name)) {
        if folder.is_dir() {
            fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
        }
    }
    Ok(())
}

/// Rows as a file has them.
pub(super) fn lines<'a>(rows: impl IntoIterator<Item = &'a Value>) -> String {
    rows.into_iter().map(|row| format!("{row}\n")).collect()
}

/// A folder that nobody else works in, as long as what this returns lives.
pub(super) fn lock(folder: &Path) -> Result<fs::File> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let file = fs::File::create(folder.join("lock")).context("making the lock")?;
    file.try_lock().map_err(|_| anyhow::anyhow!("another stream runs in {}", folder.display()))?;
    Ok(file)
}
