use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::machine::Machine;

/// What a figure's contenders measured: a file of `target/bench/results`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Results {
    pub(super) figure: String,
    /// Fewer steps and fewer peers.
    pub(super) quick: bool,
    pub(super) machine: Machine,
    /// What was measured, with `+` where the working tree was not committed.
    pub(super) commit: String,
    /// Pinned versions of the peers, and the compiler of ours.
    pub(super) versions: BTreeMap<String, String>,
    /// In the order that they ran.
    pub(super) runs: Vec<Run>,
    /// Why a contender took no part, or not to the end.
    pub(super) unavailable: BTreeMap<String, String>,
}

/// One contender's process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) contender: String,
    pub(super) command: String,
    /// Of the minute before.
    pub(super) load_average: Option<f64>,
    /// Cores that other processes kept busy meanwhile.
    pub(super) cores_of_others: Option<f64>,
    /// From start to end.
    pub(super) wall_seconds: f64,
    /// What it printed, and the distance of its curve.
    pub(super) measured: Map<String, Value>,
}

impl Results {
    /// What all runs of a contender measured, in order.
    pub(super) fn values(&self, contender: &str, measure: &str) -> Vec<f64> {
        let runs = self.runs.iter().filter(|run| run.contender == contender);
        runs.filter_map(|run| run.measured.get(measure)?.as_f64()).collect()
    }

    /// The median over the runs of a contender; none where it measured nothing.
    pub(super) fn median(&self, contender: &str, measure: &str) -> Option<f64> {
        median(self.values(contender, measure))
    }

    /// The most cores that others kept busy during a run.
    pub(super) fn cores_of_others(&self) -> f64 {
        self.runs.iter().filter_map(|run| run.cores_of_others).fold(0.0, f64::max)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<PathBuf> {
        let file = folder.join(format!("{}.json", self.figure));
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&file, json).with_context(|| format!("writing {}", file.display()))?;
        Ok(file)
    }

    pub(super) fn read(file: &Path) -> Result<Self> {
        let json = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_slice(&json).with_context(|| format!("the results in {}", file.display()))
    }
}

/// The value in the middle, or the mean of the two there.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    Some(if values.len() % 2 == 1 { *upper } else { (values[middle - 1] + upper) / 2.0 })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Results with these numbers: contender, measure, value.
    pub(in super::super) fn results(figure: &str, runs: &[(&str, &str, f64)]) -> Results {
        let run = |(contender, measure, value): &(&str, &str, f64)| Run {
            contender: (*contender).to_owned(),
            command: format!("run {contender}"),
            load_average: Some(0.1),
            cores_of_others: Some(0.0),
            wall_seconds: 1.0,
            measured: Map::from_iter([((*measure).to_owned(), Value::from(*value))]),
        };
        let machine = Machine {
            cpu: "Abacus".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            instruction_sets: vec!["avx2".to_owned()],
        };
        Results {
            figure: figure.to_owned(),
            quick: false,
            machine,
            commit: "0123456789ab".to_owned(),
            versions: BTreeMap::from([("torch".to_owned(), "2".to_owned())]),
            runs: runs.iter().map(run).collect(),
            unavailable: BTreeMap::new(),
        }
    }

    #[test]
    fn the_median_is_taken_over_the_runs_of_a_contender() {
        let results = results("f", &[("a", "x", 3.0), ("b", "x", 100.0), ("a", "x", 1.0), ("a", "x", 9.0)]);
        assert_eq!(results.median("a", "x"), Some(3.0));
        assert_eq!(results.median("b", "x"), Some(100.0));
        assert_eq!(results.median("a", "y"), None);
        assert_eq!(median(vec![1.0, 2.0]), Some(1.5));
    }

    #[test]
    fn files_are_read_as_they_were_written() {
        let folder = std::env::temp_dir().join(format!("perennial-bench-results-{}", std::process::id()));
        let results = results("f", &[("a", "x", 3.25)]);
        let file = results.write(&folder).unwrap();
        assert_eq!(Results::read(&file).unwrap(), results);
        fs::remove_dir_all(folder).unwrap();
    }
}
