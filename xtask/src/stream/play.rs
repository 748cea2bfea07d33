//! All runs of a stream, step by step, behind what is done.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use perennial_tests::Program;
use toml::Table;

use super::{
    Options,
    arm::{self, Arm},
    journal,
    observed::Suites,
    plan::{self, Key, Run},
    results::{Results, TaskKept},
    stage::Stage,
    summary::{self, Done},
    task::Suite,
};
use crate::{
    bench::{self, machine::Machine},
    output,
    shell::{Shell, from_root},
};

/// The seeds and orders of a stream, in full and with `--tiny`.
const ORDERS: (usize, usize) = (3, 1);
const SEEDS: (u64, u64) = (2, 1);

/// What is played, once it is known what the program knows.
struct Play<'a> {
    stage: &'a Stage,
    options: &'a Options,
    orders: Vec<Vec<usize>>,
    seeds: Vec<u64>,
    /// Why arms were left out.
    skipped: BTreeMap<String, String>,
    /// The keys of arms that the program does not know.
    unknown: BTreeMap<String, Vec<String>>,
}

/// Does all that is not done yet; nothing but the plan with `--plan`.
pub(super) fn play(stage: &Stage, arms: Vec<Arm>, options: &Options) -> Result<Option<Results>> {
    let orders = plan::orders(stage.tasks.len(), options.small(options.orders, ORDERS.0, ORDERS.1));
    let seeds: Vec<u64> = (0..options.small(options.seeds, SEEDS.0, SEEDS.1)).collect();
    ensure!(!orders.is_empty() && !seeds.is_empty(), "--orders and --seeds must be 1 or more");
    let program = base_program(stage)?;
    let mut play = Play { stage, options, orders, seeds, skipped: BTreeMap::new(), unknown: BTreeMap::new() };
    let arms = play.known(&program, arms)?;
    let runs = plan::runs(&arms, &play.orders, &play.seeds);
    ensure!(runs.iter().any(|run| !run.steps.is_empty()), "nothing would be learned: name an arm beside `base`");
    play.tell(&runs)?;
    if options.plan {
        return Ok(None);
    }
    stage.claim()?;
    if let Some(model) = &stage.scene.pull {
        output::note(format!("Downloads {model}, unless it is there already."));
        Shell::program(&program, &["model", "pull", model]).run()?;
    }
    let likeness = stage.likeness(&program)?;
    for run in &runs {
        if play.finish(run, &runs, &likeness)? {
            stage.publish(&play.results(&arms, &runs)?)?;
        }
    }
    let results = play.results(&arms, &runs)?;
    stage.publish(&results)?;
    Ok(Some(results))
}

/// The program with the base model and nothing else, for what no arm does.
fn base_program(stage: &Stage) -> Result<Program> {
    let config = stage.folder.join("base.toml");
    let mut settings = stage.scene.settings.clone();
    arm::merge(&mut settings, &arm::nested("model.base", &stage.scene.model.as_str().into()));
    journal::write(&config, &toml::to_string(&settings)?)?;
    Program::new(&config, &stage.folder.join("base"))
}

impl Play<'_> {
    /// The arms whose configuration the program takes. Those with a key that it does not know are named and left out.
    fn known(&mut self, program: &Program, arms: Vec<Arm>) -> Result<Vec<Arm>> {
        let mut known = Vec::new();
        for mut arm in arms {
            let all = std::mem::take(&mut arm.recipe.where_known);
            for (key, value) in all {
                match self.refusal(program, &arm::nested(&key, &value))? {
                    None => drop(arm.recipe.where_known.insert(key, value)),
                    Some(_) => self.unknown.entry(arm.name.clone()).or_default().push(format!("`{key}`")),
                }
            }
            match self.refusal(program, &arm.recipe.config)? {
                None => known.push(arm),
                Some(reason) => {
                    output::note(format!("The arm `{}` is left out: {reason}", arm.name));
                    self.skipped.insert(arm.name, reason);
                }
            }
        }
        Ok(known)
    }

    /// What the program says against these settings; nothing where it takes them.
    fn refusal(&self, program: &Program, config: &Table) -> Result<Option<String>> {
        let path = self.stage.folder.join("asked.toml");
        journal::write(&path, &toml::to_string(config)?)?;
        let finished = program.with_config(&path).run(&["config", "dump"])?;
        let said = finished.stderr.replace(&format!("{}", path.display()), "its configuration");
        Ok((finished.code != Some(0)).then(|| said.split_whitespace().collect::<Vec<_>>().join(" ")))
    }

    /// Says what there is to do, and about how long it takes.
    fn tell(&self, runs: &[Run<'_>]) -> Result<()> {
        let names: Vec<&str> = self.stage.tasks.iter().map(|task| task.name.as_str()).collect();
        let items: Vec<usize> = self.stage.tasks.iter().map(|task| task.suite.rows.len()).collect();
        output::note(format!(
            "{} tasks ({}), {} rows and at most {} items each; {} orders, {} seeds",
            names.len(),
            names.join(", "),
            self.stage.rows,
            items.iter().max().unwrap_or(&0),
            self.orders.len(),
            self.seeds.len()
        ));
        for run in runs {
            let done = journal::read(&self.stage.journal(run))?.len();
            let left: f64 = run.steps.iter().skip(done).map(|step| self.seconds(run, step)).sum();
            output::note(format!(
                "  {:<28} {done} of {} steps done, about {} left",
                run.name,
                run.steps.len(),
                time(left)
            ));
        }
        output::note(format!("About {} in all, in {}", time(self.left(runs)?), from_root(self.stage.folder.display())));
        Ok(())
    }

    /// About how long a step takes, by what is known beforehand.
    fn seconds(&self, run: &Run<'_>, step: &plan::Step) -> f64 {
        let likeness = Suite {
            name: String::new(),
            metric: String::new(),
            rows: vec![serde_json::Value::Null; self.stage.scene.base_prompts],
            max_new_tokens: 0,
        };
        let items = self.stage.asked(run, step, &likeness).iter().map(|suite| suite.rows.len()).sum();
        plan::seconds(&self.stage.scene.costs, step, self.stage.rows, items)
    }

    /// About how long all that is left takes: as foreseen, times what the steps that are done took beside what was foreseen.
    fn left(&self, runs: &[Run<'_>]) -> Result<f64> {
        let (mut left, mut took, mut foreseen) = (0.0, 0.0, 0.0);
        for run in runs {
            let done = journal::read(&self.stage.journal(run))?;
            for (at, step) in run.steps.iter().enumerate() {
                let seconds = self.seconds(run, step);
                match done.get(at) {
                    None => left += seconds,
                    Some(entry) if entry.seconds.is_empty() => {}
                    Some(entry) => (took, foreseen) = (took + entry.seconds.values().sum::<f64>(), foreseen + seconds),
                }
            }
        }
        Ok(if foreseen > 0.0 { left * took / foreseen } else { left })
    }

    /// Does what is left of a run; whether there was something.
    fn finish(&self, run: &Run<'_>, runs: &[Run<'_>], likeness: &Suite) -> Result<bool> {
        let path = self.stage.journal(run);
        let mut done = journal::read(&path)?;
        let before = done.len();
        for step in run.steps.iter().skip(before) {
            let began = Instant::now();
            let entry = self.stage.carry_out(run, step, likeness, &done, self.budget(run, step, runs)?)?;
            journal::append(&path, &entry)?;
            let forced = if entry.forced { ", promoted by hand" } else { "" };
            output::note(format!(
                "{}, step {} of {}: {}{forced}, {}; about {} left in all",
                run.name,
                step.number,
                run.steps.len(),
                entry.outcome,
                time(began.elapsed().as_secs_f64()),
                time(self.left(runs)?)
            ));
            done.push(entry);
        }
        Ok(done.len() > before)
    }

    /// The optimiser steps that another arm took for these tasks; nothing where it did not come to all of them.
    fn budget(&self, run: &Run<'_>, step: &plan::Step, runs: &[Run<'_>]) -> Result<Option<u64>> {
        let Some(other) = &run.arm.recipe.steps_of else { return Ok(None) };
        let Some(other) = runs.iter().find(|of| &of.arm.name == other && of.beside(run.key)) else { return Ok(None) };
        let done = journal::read(&self.stage.journal(other))?;
        let took = |task: &usize| {
            let name = &self.stage.tasks[*task].name;
            done.iter().find(|entry| entry.tasks.contains(name))?.optimiser_steps
        };
        Ok(step.tasks.iter().map(took).sum())
    }

    fn results(&self, arms: &[Arm], runs: &[Run<'_>]) -> Result<Results> {
        let journals = runs.iter().map(|run| journal::read(&self.stage.journal(run))).collect::<Result<Vec<_>>>()?;
        let suites = |run: &Run<'_>| -> Suites {
            let order = self.orders.get(run.key.order).map_or(&[][..], Vec::as_slice);
            self.stage.suites_of(order)
        };
        let base = journal::base(&journals)?;
        let done: Vec<Done<'_>> = runs
            .iter()
            .zip(journals)
            .map(|(run, entries)| Done::new(run.clone(), entries, suites(run), base.as_ref()))
            .collect();
        let keys: Vec<Key> =
            self.seeds.iter().flat_map(|seed| (0..self.orders.len()).map(|order| Key { order, seed: *seed })).collect();
        let (arms, decides) = summary::summarise(arms, &done, &keys, &self.unknown);
        let steps = |of: fn(&Done<'_>) -> usize| done.iter().map(of).sum();
        let (tasks, general) = (&self.stage.tasks, &self.stage.general);
        let name = |task: &usize| tasks[*task].name.clone();
        let kept = tasks.iter().map(|task| TaskKept {
            name: task.name.clone(),
            metric: task.suite.metric.clone(),
            rows: task.train.len().min(self.stage.rows),
            items: task.suite.rows.len(),
        });
        let model = Path::new(&self.stage.scene.model);
        Ok(Results {
            command: self.command(),
            model: model.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            machine: Machine::read(),
            commit: bench::commit().unwrap_or_else(|_| "unknown".to_owned()),
            done: (steps(|done| done.entries.len()), steps(|done| done.run.steps.len())),
            tasks: kept.collect(),
            general: general.iter().map(|suite| (suite.name.clone(), suite.rows.len())).collect(),
            orders: self.orders.iter().map(|order| order.iter().map(name).collect()).collect(),
            seeds: self.seeds.clone(),
            decides,
            arms,
            skipped: self.skipped.clone(),
        })
    }

    /// The command as one would type it, without the paths of this machine.
    fn command(&self) -> String {
        let Options { tiny, data, general, config, arms, .. } = self.options;
        let mut words = vec!["cargo xtask stream".to_owned()];
        if *tiny {
            words.push("--tiny".to_owned());
        }
        words.extend(data.iter().map(|_| "--data DIR".to_owned()));
        let tasks: Vec<&str> = self.stage.tasks.iter().map(|task| task.name.as_str()).collect();
        words.push(format!("--tasks {}", tasks.join(",")));
        words.extend(general.iter().map(|_| "--general FILE".to_owned()));
        words.extend(config.iter().map(|_| "--config FILE".to_owned()));
        words.push(format!("--arms {}", arms.join(",")));
        let items = self.stage.tasks.iter().map(|task| task.suite.rows.len()).max().unwrap_or(0);
        words.push(format!("--rows {} --items {items}", self.stage.rows));
        words.push(format!("--orders {} --seeds {}", self.orders.len(), self.seeds.len()));
        words.join(" ")
    }
}

/// In minutes, or hours where there are some.
fn time(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match whole {
        0..60 => format!("{whole} s"),
        60..7200 => format!("{} min", (whole + 30) / 60),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_fitting_units() {
        assert_eq!([12.0, 90.0, 7300.0].map(time), ["12 s", "2 min", "2.0 h"]);
    }
}
