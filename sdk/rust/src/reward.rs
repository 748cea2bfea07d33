use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Descriptor, Fault, Task, Verdict};

/// A reward function that judges one completion at a time: what most are.
pub trait Reward: Sized {
    /// The configuration. Its JSON schema is derived from it, and the host checks the operator's table against that
    /// schema when it loads the plugin. Use `#[serde(deny_unknown_fields)]`, so that a misspelt key is an error, and
    /// `#[serde(default)]` for keys that need not be given.
    type Config: DeserializeOwned + JsonSchema;

    /// Says what the plugin is.
    fn describe() -> Descriptor;

    /// Makes the function ready: checks what a schema cannot express, compiles patterns. Called once a group.
    ///
    /// # Errors
    /// [`Fault::BadConfig`] where the configuration makes no sense.
    fn new(config: Self::Config) -> Result<Self, Fault>;

    /// Judges one completion of the task.
    ///
    /// # Errors
    /// Where the task cannot be judged at all. A completion that is merely bad gets a low reward, one that this plugin
    /// has no opinion on an abstention.
    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault>;
}

/// A reward function that judges a prompt's whole group at once, because it compares completions with each other or
/// shares work between them. Every [`Reward`] is one.
pub trait GroupReward: Sized {
    /// As [`Reward::Config`].
    type Config: DeserializeOwned + JsonSchema;

    /// As [`Reward::describe`].
    fn describe() -> Descriptor;

    /// As [`Reward::new`].
    ///
    /// # Errors
    /// As [`Reward::new`].
    fn new(config: Self::Config) -> Result<Self, Fault>;

    /// Judges each sample of the task: one verdict a sample, in the same order.
    ///
    /// # Errors
    /// As [`Reward::score`].
    fn score_group(&self, task: &Task) -> Result<Vec<Verdict>, Fault>;
}

impl<R: Reward> GroupReward for R {
    type Config = R::Config;

    fn describe() -> Descriptor {
        R::describe()
    }

    fn new(config: Self::Config) -> Result<Self, Fault> {
        R::new(config)
    }

    fn score_group(&self, task: &Task) -> Result<Vec<Verdict>, Fault> {
        task.samples.iter().map(|sample| self.score(task, &sample.completion)).collect()
    }
}

/// What the exported `score` does: reads the configuration, makes the function ready, and judges the group.
///
/// # Errors
/// [`Fault::BadConfig`] where the configuration is not of the plugin's type, and the function's own faults.
pub fn answer<R: GroupReward>(config: &str, task: &Task) -> Result<Vec<Verdict>, Fault> {
    let config = serde_json::from_str(config).map_err(Fault::bad_config)?;
    R::new(config)?.score_group(task)
}

/// What the exported `describe` says: the descriptor, and the JSON schema of the configuration.
pub fn descriptor_with_schema<R: GroupReward>() -> (Descriptor, String) {
    (R::describe(), schemars::schema_for!(R::Config).as_value().to_string())
}
