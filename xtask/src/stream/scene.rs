use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use perennial_tests::repository;
use toml::Table;

/// What a stream is played with.
pub(super) struct Scene {
    /// The base model, as the configuration has it.
    pub(super) model: String,
    /// The model to pull, where it does not come with the repository.
    pub(super) pull: Option<String>,
    /// What is set in every arm: nothing, but for a model that the shipped configuration is not made for.
    pub(super) settings: Table,
    /// What must not be forgotten, and how it is judged.
    pub(super) general: (PathBuf, &'static str),
    /// The prompts whose answers by the base model tell how far an adapter is from it …
    pub(super) base_prompts: usize,
    /// … and the longest of those answers, in tokens.
    pub(super) base_tokens: usize,
    /// About how long things take, until some have been measured.
    pub(super) costs: Costs,
}

/// About how long things take on two cores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Costs {
    /// Starting the daemon, taking rows in, freezing a mix.
    pub(super) cycle_seconds: f64,
    /// Training on a row, over all epochs.
    pub(super) row_seconds: f64,
    /// Asking a model an item.
    pub(super) item_seconds: f64,
}

impl Scene {
    /// A real model under the shipped configuration, or with the training of a configuration file; SmolLM2 where none is named.
    pub(super) fn real(model: Option<&str>, config: Option<&Path>) -> Result<Self> {
        let model = model.unwrap_or("smollm2-135m-instruct").to_owned();
        Ok(Self {
            pull: (!model.contains('/')).then(|| model.clone()),
            model,
            settings: config.map(training_of).transpose()?.unwrap_or_default(),
            general: (repository().join("config/examples/demo/suites/general.jsonl"), "contains"),
            base_prompts: 24,
            base_tokens: 64,
            costs: Costs { cycle_seconds: 8.0, row_seconds: 0.4, item_seconds: 0.25 },
        })
    }

    /// The tiny test model, with the training that its other tests use: the shipped rate is made for models of its own size.
    pub(super) fn tiny() -> Result<Self> {
        let folder = repository().join("tests/goldens/tiny");
        Ok(Self {
            model: folder.display().to_string(),
            pull: None,
            settings: training_of(&repository().join("config/examples/demo/tiny.toml"))?,
            general: (folder.join("tasks/general_suite.jsonl"), "exact_match"),
            base_prompts: 8,
            base_tokens: 24,
            costs: Costs { cycle_seconds: 2.0, row_seconds: 0.01, item_seconds: 0.005 },
        })
    }
}

/// What a configuration file says of how samples are taken in, mixed and trained on. Its suites are not the stream's, nor when
/// its cycles begin.
fn training_of(config: &Path) -> Result<Table> {
    let text = fs::read_to_string(config).with_context(|| format!("reading {}", config.display()))?;
    let mut settings: Table = toml::from_str(&text).with_context(|| config.display().to_string())?;
    settings.retain(|section, _| ["cycle", "ingest", "replay", "train"].contains(&section));
    Ok(settings)
}
