//! What is done of a run, a line for each step. A step that has its line is not done twice, however often the program was killed.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context, Result, ensure};
use perennial_durable::write_durably;
use serde::{Deserialize, Serialize};

/// An item's score, and the tokens that it is of where it is a likelihood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Scored(pub(super) Option<f64>, pub(super) Option<u64>);

/// The items of each suite, by its name, in the suite's order.
pub(super) type Scores = BTreeMap<String, Vec<Scored>>;

/// A step that is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Counts from 1.
    pub(super) step: usize,
    /// The tasks whose rows came in, by name.
    pub(super) tasks: Vec<String>,
    /// `promoted`, `rejected`, `failed` or `aborted`.
    pub(super) outcome: String,
    /// Why, in the words of the gate or of the failure.
    pub(super) reasons: Vec<String>,
    /// Whether the candidate was put in service by hand.
    pub(super) forced: bool,
    /// Optimiser steps; none where nothing was trained.
    pub(super) optimiser_steps: Option<u64>,
    /// The adapter in service afterwards; none is the base model.
    pub(super) adapter: Option<String>,
    /// The norm of what it adds to the weights.
    pub(super) norm: Option<f64>,
    /// How long each phase took; empty where the step was interrupted, for nothing is known then.
    pub(super) seconds: BTreeMap<String, f64>,
    /// What is in service afterwards, on every suite.
    pub(super) scores: Scores,
    /// The base model on every suite; only in the first step of a state directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base: Option<Scores>,
}

/// The steps that are done, in order; none where there is no journal.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>> {
    let entries = whole_lines(path)?.lines().map(serde_json::from_str).collect::<Result<Vec<Entry>, _>>();
    entries.with_context(|| format!("{} is damaged: remove the run's folder to do it again", path.display()))
}

/// Adds a step, and syncs it. What is there stays as it is, digit by digit.
pub(super) fn append(path: &Path, entry: &Entry) -> Result<()> {
    write(path, &format!("{}{}\n", whole_lines(path)?, serde_json::to_string(entry)?))
}

/// The lines that are there; a last one without its end was cut off by a kill, and is none.
fn whole_lines(path: &Path) -> Result<String> {
    let mut text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
    Ok(text)
}

/// The base model on every suite, from whichever run asked it; the same everywhere, or something is wrong.
pub(super) fn base(journals: &[Vec<Entry>]) -> Result<Option<Scores>> {
    let mut all: Option<Scores> = None;
    for scores in journals.iter().flatten().filter_map(|entry| entry.base.as_ref()) {
        let known = all.get_or_insert_default();
        for (suite, items) in scores {
            let before = known.entry(suite.clone()).or_insert_with(|| items.clone());
            ensure!(before == items, "the base model scored {suite} differently in two runs: their program differed");
        }
    }
    Ok(all)
}

/// Writes a file as a whole: what is killed on the way leaves the old one.
pub(super) fn write(path: &Path, text: &str) -> Result<()> {
    write_durably(path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A step with these scores of suites of one item each.
    pub(in super::super) fn entry(step: usize, task: &str, scores: &[(&str, f64)]) -> Entry {
        Entry {
            step,
            tasks: vec![task.to_owned()],
            outcome: "promoted".to_owned(),
            reasons: Vec::new(),
            forced: false,
            optimiser_steps: Some(10),
            adapter: Some(format!("adapter-{step}")),
            norm: Some(1.5),
            seconds: BTreeMap::from([("trained".to_owned(), 2.0)]),
            scores: scores
                .iter()
                .map(|(suite, score)| ((*suite).to_owned(), vec![Scored(Some(*score), None)]))
                .collect(),
            base: None,
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        assert_eq!(read(&path).unwrap(), []);
        let (one, two) = (entry(1, "a", &[("s", 0.1)]), entry(2, "b", &[("s", 0.25)]));
        append(&path, &one).unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\": 2, \"ta").unwrap();
        assert_eq!(read(&path).unwrap(), std::slice::from_ref(&one));
        append(&path, &two).unwrap();
        assert_eq!(read(&path).unwrap(), [one, two]);
        fs::write(&path, "nonsense\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("is damaged"));
    }

    #[test]
    fn the_base_model_is_the_same_in_every_run() {
        let run = |suite: &str, score: f64| {
            let base = Some(entry(0, "", &[(suite, score)]).scores);
            vec![Entry { base, ..entry(1, "a", &[]) }, entry(2, "b", &[])]
        };
        let all = base(&[run("a", 0.5), run("b", 0.25), run("a", 0.5)]).unwrap().unwrap();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert!(base(&[run("a", 0.5), run("a", 0.25)]).unwrap_err().to_string().contains("differently"));
        assert_eq!(base(&[vec![entry(1, "a", &[])]]).unwrap(), None);
    }
}
