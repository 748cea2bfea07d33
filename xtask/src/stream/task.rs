use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::tasks::Own;
use crate::random::Random;

/// An answer of more words is no answer that is right or wrong: it is judged by its likelihood, in nats, which has no place among
/// shares.
const WORDS_MAX: usize = 8;

/// Bounds of the longest answer that a suite lets the model give, in tokens.
const TOKENS: (usize, usize) = (16, 128);

/// A task of the sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    pub(super) name: String,
    /// All rows that there are to train on.
    pub(super) train: Vec<Value>,
    /// What its score is of.
    pub(super) suite: Suite,
}

/// Rows that are asked, and how they are judged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Suite {
    /// Its name in the configuration.
    pub(super) name: String,
    /// As the program calls it.
    pub(super) metric: String,
    pub(super) rows: Vec<Value>,
    /// The longest answer.
    pub(super) max_new_tokens: usize,
}

impl Task {
    /// A task of the project's own making.
    pub(super) fn own(task: &Own, rows: usize, items: usize) -> Result<Self> {
        let (train, eval) = task.rows(rows, items)?;
        Self::new(task.name, train, eval)
    }

    /// A task whose rows are in files, of which the first `items` are asked.
    pub(super) fn read(name: &str, train: &Path, eval: &Path, items: usize) -> Result<Self> {
        let mut eval = read_rows(eval)?;
        eval.truncate(items);
        Self::new(name, read_rows(train)?, eval)
    }

    fn new(name: &str, train: Vec<Value>, eval: Vec<Value>) -> Result<Self> {
        ensure!(
            !train.is_empty() && !eval.is_empty(),
            "the task {name} has no rows to train on, or none to evaluate with"
        );
        let answers = answers(&eval).with_context(|| format!("the rows of {name}"))?;
        let metric = match metric_of(&answers) {
            Some(metric) => metric.to_owned(),
            None => {
                bail!("the answers of {name} are too long to be right or wrong: give its rows as --general instead")
            }
        };
        let suite = Suite { name: format!("stream.{name}"), metric, max_new_tokens: tokens_max(&answers), rows: eval };
        Ok(Self { name: name.to_owned(), train, suite })
    }

    /// The rows that a run of this seed trains on.
    pub(super) fn drawn(&self, rows: usize, seed: u64) -> Vec<&Value> {
        let mut drawn: Vec<&Value> = self.train.iter().collect();
        Random::new(seed).shuffle(&mut drawn);
        drawn.truncate(rows);
        drawn
    }
}

impl Suite {
    /// Rows of a file that are asked beside the tasks: what must not be forgotten. Where no metric is named, short answers are to
    /// be contained and others are judged by their likelihood. Of more rows than are asked, those that are lie equally far apart:
    /// such files often have their sorts one after the other.
    pub(super) fn general(file: &Path, metric: Option<&str>, items: usize) -> Result<Self> {
        let rows: Vec<Value> = spread(&read_rows(file)?, items).cloned().collect();
        let answers = answers(&rows).with_context(|| file.display().to_string())?;
        let chosen = if metric_of(&answers).is_some() { "contains" } else { PERPLEXITY };
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let metric = metric.unwrap_or(chosen).to_owned();
        Ok(Self { name: format!("general.{name}"), metric, max_new_tokens: tokens_max(&answers), rows })
    }

    /// Whether its scores are mean log-likelihoods, in nats per token.
    pub(super) fn is_likelihood(&self) -> bool {
        self.metric == PERPLEXITY
    }

    /// A row's question, where it has one turn.
    pub(super) fn question(row: &Value) -> Option<&str> {
        row["messages"][0]["content"].as_str().or_else(|| row["prompt"].as_str())
    }
}

/// The program's metric of likelihoods.
pub(super) const PERPLEXITY: &str = "perplexity";

/// The pairs of `NAME_train.jsonl` and `NAME_eval.jsonl` in folders, by name.
pub(super) fn pairs(folders: &[PathBuf]) -> Result<BTreeMap<String, (PathBuf, PathBuf)>> {
    let mut pairs = BTreeMap::new();
    for folder in folders {
        let before = pairs.len();
        let entries = fs::read_dir(folder).with_context(|| format!("--data {}", folder.display()))?;
        for entry in entries {
            let train = entry?.path();
            let name =
                train.file_name().and_then(|name| name.to_str()?.strip_suffix("_train.jsonl")).map(str::to_owned);
            let Some(name) = name else { continue };
            let eval = folder.join(format!("{name}_eval.jsonl"));
            if eval.is_file() {
                pairs.insert(name, (train, eval));
            }
        }
        ensure!(pairs.len() > before, "--data {}: no NAME_train.jsonl with its NAME_eval.jsonl", folder.display());
    }
    Ok(pairs)
}

/// So many of them, equally far apart, or all where there are no more.
pub(super) fn spread<T>(all: &[T], wanted: usize) -> impl Iterator<Item = &T> {
    let wanted = wanted.min(all.len());
    (0..wanted).filter_map(move |at| all.get(at * all.len() / wanted))
}

fn read_rows(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let rows = text.lines().filter(|line| !line.trim().is_empty());
    rows.map(serde_json::from_str).collect::<Result<_, _>>().with_context(|| format!("the rows of {}", path.display()))
}

fn answers(rows: &[Value]) -> Result<Vec<&str>> {
    let told = |(at, row)| answer(row).with_context(|| format!("row {}: neither messages nor a completion", at + 1));
    rows.iter().enumerate().map(told).collect()
}

fn answer(row: &Value) -> Option<&str> {
    let said = row["messages"].as_array().and_then(|turns| turns.last()?["content"].as_str());
    said.or_else(|| row["completion"].as_str())
}

/// How answers are judged that are right or wrong; nothing where they are too long for it.
fn metric_of(answers: &[&str]) -> Option<&'static str> {
    let is_object = |answer: &&str| serde_json::from_str::<Value>(answer).is_ok_and(|value| value.is_object());
    if answers.iter().all(is_object) {
        return Some("json_field_f1");
    }
    let is_short = |answer: &&str| answer.split_whitespace().count() <= WORDS_MAX;
    answers.iter().all(is_short).then_some("exact_match")
}

/// Enough for the longest reference, a token for every one and a half characters, and some more.
fn tokens_max(answers: &[&str]) -> usize {
    let longest = answers.iter().map(|answer| answer.chars().count()).max().unwrap_or(0);
    (longest * 2 / 3 + 8).clamp(TOKENS.0, TOKENS.1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_follow_the_answers() {
        assert_eq!(metric_of(&["{\"a\": 1}", "{}"]), Some("json_field_f1"));
        assert_eq!(metric_of(&["yes", "very positive"]), Some("exact_match"));
        assert_eq!(metric_of(&["yes", "one two three four five six seven eight nine"]), None);
        assert_eq!(tokens_max(&["yes"]), 16);
        assert_eq!(tokens_max(&["x".repeat(90).as_str(), ""]), 68);
    }

    #[test]
    fn what_is_spread_lies_equally_far_apart() {
        let of = |all: &[u32], wanted| spread(all, wanted).copied().collect::<Vec<_>>();
        assert_eq!(of(&[0, 1, 2, 3, 4, 5, 6], 3), [0, 2, 4]);
        assert_eq!((of(&[0, 1], 9), of(&[], 3), of(&[1, 2], 0)), (vec![0, 1], vec![], vec![]));
    }

    #[test]
    fn seeds_draw_other_rows_and_the_same_seed_the_same() {
        let row = |n: usize| json!({ "prompt": format!("q{n}"), "completion": "a" });
        let task = Task::new("t", (0..30).map(row).collect(), vec![row(99)]).unwrap();
        assert_eq!(task.drawn(10, 1), task.drawn(10, 1));
        assert_ne!(task.drawn(10, 1), task.drawn(10, 2));
        assert_eq!((task.drawn(10, 1).len(), task.drawn(100, 1).len()), (10, 30));
    }

    #[test]
    fn rows_that_cannot_be_a_task_are_named() {
        let error = Task::new("t", vec![json!({})], vec![json!({ "text": "x" })]).unwrap_err();
        assert_eq!(format!("{error:#}"), "the rows of t: row 1: neither messages nor a completion");
        let long = json!({ "prompt": "q", "completion": "a b c d e f g h i" });
        let error = Task::new("t", vec![long.clone()], vec![long]).unwrap_err();
        assert!(error.to_string().ends_with("give its rows as --general instead"), "{error}");
        assert!(Task::new("t", vec![], vec![]).is_err());
    }
}
