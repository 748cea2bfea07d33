use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use perennial_tests::repository;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Where the arms are: a file each, found by its name. The next one is one more file.
const FOLDER: &str = "xtask/src/stream/arms";

/// A way to learn the sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arm {
    /// The name of its file.
    pub(super) name: String,
    pub(super) recipe: Recipe,
}

/// What an arm's file says.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    /// For the reader of the report.
    pub(super) about: String,
    /// Which cycles there are.
    #[serde(default)]
    pub(super) shape: Shape,
    /// Whether a candidate that the gate refuses is promoted by hand.
    #[serde(default)]
    pub(super) force: bool,
    /// The arm whose optimiser steps it gets for each task, where that arm runs as well.
    pub(super) steps_of: Option<String>,
    /// What is set over the shipped configuration. An arm with a key that the program does not know is left out.
    #[serde(default)]
    pub(super) config: Table,
    /// The same, by keys such as "train.epochs", each of which is left out where the program does not know it.
    #[serde(default)]
    pub(super) where_known: Table,
}

/// Which cycles an arm has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Shape {
    /// One for each task, one after the other.
    #[default]
    Sequence,
    /// One with all tasks.
    Joint,
    /// One for each task, each from the base model.
    Single,
    /// None.
    Base,
}

impl Arm {
    /// The arm of this name, or in this file where it ends in `.toml`.
    pub(super) fn load(name: &str) -> Result<Self> {
        if name.ends_with(".toml") {
            return Self::read(Path::new(name));
        }
        let path = repository().join(FOLDER).join(format!("{name}.toml"));
        if !path.is_file() {
            bail!("there is no arm `{name}`, only {}; or name a file that ends in .toml", all_names()?.join(", "));
        }
        Self::read(&path)
    }

    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading the arm {}", path.display()))?;
        let recipe: Recipe = toml::from_str(&text).with_context(|| format!("the arm {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        ensure!(!name.is_empty() && name.chars().all(plain), "an arm's name has letters, digits, - and _: {name}");
        Ok(Self { name, recipe })
    }

    /// Whether its tasks come in an order that makes a difference.
    pub(super) fn has_order(&self) -> bool {
        self.recipe.shape == Shape::Sequence
    }
}

/// The arms that are there, sorted.
fn all_names() -> Result<Vec<String>> {
    let files = fs::read_dir(repository().join(FOLDER)).with_context(|| format!("reading {FOLDER}"))?;
    let paths: Vec<PathBuf> = files.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    let mut names: Vec<String> = paths.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// The arms of these names, those first whose steps others get.
pub(super) fn load_all(names: &[String]) -> Result<Vec<Arm>> {
    let mut arms: Vec<Arm> = Vec::new();
    for name in names {
        let arm = Arm::load(name)?;
        ensure!(arms.iter().all(|other| other.name != arm.name), "the arm `{}` is named twice", arm.name);
        arms.push(arm);
    }
    arms.sort_by_key(|arm| arm.recipe.steps_of.is_some());
    Ok(arms)
}

/// Sets `over` over `under`: tables key by key, lists of tables one after the other, and all else in its place.
pub(super) fn merge(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (Some(Value::Array(under)), Value::Array(over)) if over.iter().all(Value::is_table) => {
                under.extend(over.iter().cloned());
            }
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

/// A table that holds nothing but this key, whose parts are separated by dots.
pub(super) fn nested(key: &str, value: &Value) -> Table {
    match key.split_once('.') {
        Some((section, rest)) => Table::from_iter([(section.to_owned(), Value::Table(nested(rest, value)))]),
        None => Table::from_iter([(key.to_owned(), value.clone())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arm_that_is_there_can_be_read_and_names_arms_that_are_there() {
        let names = all_names().unwrap();
        for arm in load_all(&names).unwrap() {
            assert!(arm.recipe.steps_of.iter().all(|other| names.contains(other)), "{}", arm.name);
        }
        assert!(["default", "naive", "joint", "single", "base"].iter().all(|name| names.contains(&(*name).to_owned())));
    }

    #[test]
    fn an_arm_whose_steps_others_get_comes_first() {
        let arms = load_all(&["naive", "default"].map(str::to_owned)).unwrap();
        assert_eq!(arms.iter().map(|arm| arm.name.as_str()).collect::<Vec<_>>(), ["default", "naive"]);
        let error = load_all(&["naive", "naive"].map(str::to_owned)).unwrap_err();
        assert_eq!(error.to_string(), "the arm `naive` is named twice");
        let error = Arm::load("niave").unwrap_err().to_string();
        assert!(error.starts_with("there is no arm `niave`, only auto-ratio, balanced, base, base-answers"), "{error}");
    }

    #[test]
    fn tables_are_merged_and_lists_of_tables_go_on() {
        let mut under: Table =
            toml::from_str("[train]\nr = 16\nepochs = 1.0\n[[gate.suite]]\nname = \"a\"\n[log]\nlist = [1]").unwrap();
        let over = toml::from_str("[train]\nepochs = 2.0\n[[gate.suite]]\nname = \"b\"\n[log]\nlist = [2]").unwrap();
        merge(&mut under, &over);
        merge(&mut under, &nested("replay.auto.max", &Value::Float(0.5)));
        let expected: Table = toml::from_str(
            "[train]\nr = 16\nepochs = 2.0\n[[gate.suite]]\nname = \"a\"\n[[gate.suite]]\nname = \"b\"\n[log]\nlist = [2]\n\
             [replay.auto]\nmax = 0.5",
        )
        .unwrap();
        assert_eq!(under, expected);
    }
}
