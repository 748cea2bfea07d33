//! What came of a stream, without a row or an answer of it: the file that reports are made from.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{bootstrap::Estimate, journal::Entry, matrix::Matrix};
use crate::bench::machine::Machine;

/// All results of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The command that measures this.
    pub(crate) command: String,
    pub(super) model: String,
    pub(super) machine: Machine,
    /// What was measured, with `+` where the working tree was not committed.
    pub(super) commit: String,
    /// Steps that are done, and steps that there are.
    pub(super) done: (usize, usize),
    pub(super) tasks: Vec<TaskKept>,
    /// The general suites, with their items.
    pub(super) general: BTreeMap<String, usize>,
    /// The tasks' names in each order.
    pub(crate) orders: Vec<Vec<String>>,
    pub(super) seeds: Vec<u64>,
    /// The one comparison that decides; none where an arm of it was not run.
    pub(super) decides: Option<Comparison>,
    pub(crate) arms: Vec<ArmKept>,
    /// Arms that were left out, and why.
    pub(super) skipped: BTreeMap<String, String>,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskKept {
    pub(super) name: String,
    pub(super) metric: String,
    pub(super) rows: usize,
    pub(super) items: usize,
}

/// An arm beside another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Comparison {
    pub(super) arm: String,
    pub(super) against: String,
    /// Of ACC.
    pub(super) difference: Estimate,
    /// The optimiser steps of both, over all runs that are compared.
    pub(super) steps: (u64, u64),
}

/// What came of an arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ArmKept {
    pub(crate) name: String,
    pub(super) about: String,
    /// Keys that the program did not know.
    pub(super) unknown: Vec<String>,
    pub(super) runs: Vec<RunKept>,
    /// The mean over its runs, by places in the order.
    pub(crate) matrix: Matrix,
    /// By the statistics' keys, and intransigence.
    pub(super) statistics: BTreeMap<String, Estimate>,
    /// The same, without what the arm `naive` has.
    pub(super) against_naive: BTreeMap<String, Estimate>,
    /// What the goals speak of: shares of other arms.
    pub(super) shares: BTreeMap<String, Estimate>,
}

/// A run of an arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunKept {
    /// Which order, from 1; none where the arm has none.
    pub(super) order: Option<usize>,
    pub(super) seed: u64,
    pub(super) matrix: Matrix,
    pub(super) steps: Vec<StepKept>,
}

/// A step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StepKept {
    pub(super) tasks: Vec<String>,
    pub(super) outcome: String,
    pub(super) forced: bool,
    pub(super) reasons: Vec<String>,
    pub(super) optimiser_steps: Option<u64>,
    pub(super) seconds: Option<f64>,
    pub(super) norm: Option<f64>,
}

impl From<&Entry> for StepKept {
    fn from(entry: &Entry) -> Self {
        Self {
            tasks: entry.tasks.clone(),
            outcome: entry.outcome.clone(),
            forced: entry.forced,
            reasons: entry.reasons.clone(),
            optimiser_steps: entry.optimiser_steps,
            seconds: (!entry.seconds.is_empty()).then(|| entry.seconds.values().sum()),
            norm: entry.norm,
        }
    }
}

impl Results {
    /// Reads the file of results.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("reading {}: `cargo xtask stream` writes it", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("the results in {}", path.display()))
    }

    /// Whether all steps are done.
    pub(crate) fn is_whole(&self) -> bool {
        self.done.0 == self.done.1
    }

    /// As the file has them.
    pub(super) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// An arm by its name.
    pub(crate) fn arm(&self, name: &str) -> Option<&ArmKept> {
        self.arms.iter().find(|arm| arm.name == name)
    }
}
