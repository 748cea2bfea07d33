use std::fs;

use anyhow::{Context, Result};
use perennial_tests::repository;
use serde_json::Value;

use crate::tickets;

const QUESTIONS: usize = 3;

/// Everyday questions with the base model's own answers, as an assistant in service goes on giving them beside the new
/// task: taken at temperature 0, cut behind a sentence, wrong ones left out. A model that sees nothing but tickets soon
/// answers everything with a ticket; later cycles have the replay buffer against that, the first has nothing to replay.
pub(crate) const EVERYDAY_FILE: &str = "config/examples/demo/data/general.jsonl";

/// What the demo plays with. Paths are relative to the repository.
pub(crate) struct Scene {
    /// The name of its state directory.
    pub(crate) name: &'static str,
    pub(crate) config: &'static str,
    /// The model to pull, where it does not come with the repository.
    pub(crate) model: Option<&'static str>,
    /// What is dropped into the inbox.
    pub(crate) data: &'static [&'static str],
    /// The golden suite of the new task.
    suite: &'static str,
}

/// A question that is in no training row.
pub(crate) struct Question {
    /// What the model is asked.
    pub(crate) text: String,
    /// The right answer.
    pub(crate) answer: String,
}

impl Scene {
    /// The real model.
    pub(crate) fn smollm2() -> Self {
        Self {
            name: "smollm2",
            config: "config/examples/demo/perennial.toml",
            model: Some("smollm2-135m-instruct"),
            data: &[EVERYDAY_FILE, tickets::TRAINING_FILE],
            suite: tickets::SUITE_FILE,
        }
    }

    /// The tiny model and the tasks that were made for it. It is so small that a new task overwrites the old one unless
    /// both are trained on.
    pub(crate) fn tiny() -> Self {
        Self {
            name: "tiny",
            config: "config/examples/demo/tiny.toml",
            model: None,
            data: &["tests/goldens/tiny/tasks/general_train.jsonl", "tests/goldens/tiny/tasks/tickets_train.jsonl"],
            suite: "tests/goldens/tiny/tasks/tickets_suite.jsonl",
        }
    }

    /// The first items of the golden suite.
    pub(crate) fn questions(&self) -> Result<Vec<Question>> {
        let text =
            fs::read_to_string(repository().join(self.suite)).with_context(|| format!("reading {}", self.suite))?;
        text.lines().take(QUESTIONS).map(question).collect()
    }
}

fn question(row: &str) -> Result<Question> {
    let row: Value = serde_json::from_str(row)?;
    let said =
        |turn: usize| row["messages"][turn]["content"].as_str().map(str::to_owned).context("a row has two turns");
    Ok(Question { text: said(0)?, answer: said(1)? })
}
