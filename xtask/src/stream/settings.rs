//! The configuration of a step: what ships, the model, the suites that are measured, and what the arm sets over it.

use std::path::Path;

use toml::{Table, Value, toml};

use super::{arm, arm::Arm, scene::Scene, task::Suite};

/// No cycle begins by itself before so many rows wait; and as many are trained on in one cycle at least.
const ROWS_MIN: usize = 5000;
/// Nor for its age: a year.
const AGE_MAX_SECONDS: i64 = 31_536_000;
/// What separates the seeds of the stream: those of cycles count up from each.
const SEEDS_APART: u64 = 1000;

/// What a step is configured with beside its arm.
pub(super) struct Setting<'a> {
    pub(super) scene: &'a Scene,
    /// What is measured, each with its file. None of it decides anything.
    pub(super) suites: Vec<(&'a Suite, &'a Path)>,
    /// The rows that come in, over all steps.
    pub(super) rows: usize,
    pub(super) seed: u64,
    /// The optimiser steps that it has to take, and the rows that it takes them over.
    pub(super) budget: Option<(u64, usize)>,
}

/// The configuration of an arm.
pub(super) fn config(arm: &Arm, setting: &Setting<'_>) -> Table {
    let mut config = setting.scene.settings.clone();
    let rows_max = i64::try_from(setting.rows.max(ROWS_MIN)).unwrap_or(i64::MAX);
    let seed = i64::try_from(setting.seed.saturating_mul(SEEDS_APART)).unwrap_or(i64::MAX);
    let (model, age) = (setting.scene.model.as_str(), AGE_MAX_SECONDS);
    let common = toml! {
        [model]
        base = model
        [cycle]
        seed = seed
        samples_min = rows_max
        samples_max = rows_max
        age_samples_min = rows_max
        age_max_seconds = age
    };
    arm::merge(&mut config, &common);
    let suites: Vec<Value> = setting.suites.iter().map(|(suite, file)| Value::Table(measured(suite, file))).collect();
    let suites = Table::from_iter([("suite".to_owned(), Value::Array(suites))]);
    arm::merge(&mut config, &Table::from_iter([("gate".to_owned(), Value::Table(suites))]));
    arm::merge(&mut config, &arm.recipe.config);
    for (key, value) in &arm.recipe.where_known {
        arm::merge(&mut config, &arm::nested(key, value));
    }
    if let Some((steps, rows)) = setting.budget {
        set_steps(&mut config, steps, rows);
    }
    config
}

/// Bounds the steps, and sees each row often enough to come to the bound.
fn set_steps(config: &mut Table, steps: u64, rows: usize) {
    /// The shipped `train.batch_size`.
    const BATCH_SIZE: i64 = 8;
    let of_train = |key: &str| config.get("train")?.get(key)?.as_integer();
    let batch = of_train("batch_size").unwrap_or(BATCH_SIZE).max(1);
    let epochs = (steps as f64 * batch as f64 / rows.max(1) as f64).ceil() + 1.0;
    let steps = i64::try_from(steps).unwrap_or(i64::MAX);
    arm::merge(
        config,
        &toml! {
            [train]
            epochs = epochs
            steps_max = steps
        },
    );
}

fn measured(suite: &Suite, file: &Path) -> Table {
    let (name, file, metric) = (suite.name.as_str(), file.display().to_string(), suite.metric.as_str());
    let tokens = i64::try_from(suite.max_new_tokens).unwrap_or(i64::MAX);
    toml! {
        name = name
        file = file
        metric = metric
        protected = false
        target = false
        max_new_tokens = tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_stands_above_what_is_common_and_below_its_budget() {
        let scene = Scene::tiny().unwrap();
        let suite =
            Suite { name: "s".to_owned(), metric: "exact_match".to_owned(), rows: Vec::new(), max_new_tokens: 16 };
        let mut arm = Arm::load("naive").unwrap();
        arm.recipe.where_known = toml! { "train.epochs" = 9.0 };
        let file = Path::new("/s.jsonl");
        let setting = |budget| Setting { scene: &scene, suites: vec![(&suite, file)], rows: 6000, seed: 3, budget };
        let config = config(&arm, &setting(None));
        assert_eq!(config["replay"]["ratio"].as_float(), Some(0.0));
        assert_eq!(
            (config["cycle"]["seed"].as_integer(), config["cycle"]["samples_max"].as_integer()),
            (Some(3000), Some(6000))
        );
        assert_eq!((config["train"]["epochs"].as_float(), config["train"].get("steps_max")), (Some(9.0), None));
        assert_eq!(config["gate"]["suite"][0]["file"].as_str(), Some("/s.jsonl"));
        assert_eq!(config["gate"]["suite"][0]["protected"].as_bool(), Some(false));
        // 20 steps of 8 rows over 100 rows are 1.6 epochs.
        let config = super::config(&arm, &setting(Some((20, 100))));
        assert_eq!(config["train"]["epochs"].as_float(), Some(3.0));
        assert_eq!(config["train"]["steps_max"].as_integer(), Some(20));
    }
}
