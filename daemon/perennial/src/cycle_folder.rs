//! A cycle's folder: known to all that work in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use perennial_types::AdapterId;
use serde::de::DeserializeOwned;

/// The folder of a cycle: everything that its phases write, and all that a training stage needs.
#[derive(Clone, Debug)]
pub(crate) struct CycleFolder(PathBuf);

impl CycleFolder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The new samples that were chosen.
    pub(crate) fn collected(&self) -> PathBuf {
        self.0.join("collected.json")
    }

    /// The adapter that training goes on from, where there is one.
    pub(crate) fn parent(&self) -> PathBuf {
        self.0.join("parent")
    }

    /// Slow adapters, in a cycle that consolidates.
    pub(crate) fn slow(&self) -> PathBuf {
        self.0.join("slow")
    }

    /// This one of them.
    pub(crate) fn slow_of(&self, adapter: &AdapterId) -> PathBuf {
        self.slow().join(adapter.as_str())
    }

    /// How much each number of the parent matters, where that was measured.
    pub(crate) fn parent_fisher(&self) -> PathBuf {
        self.0.join("parent-fisher.safetensors")
    }

    /// The same of the candidate.
    pub(crate) fn fisher(&self) -> PathBuf {
        self.0.join("fisher.safetensors")
    }

    /// What AdamW knew when an objective had trained the parent, where that was kept.
    pub(crate) fn parent_optimizer_of(&self, objective: &str) -> PathBuf {
        self.0.join(format!("parent-optimizer-{objective}.safetensors"))
    }

    /// The same of the candidate.
    pub(crate) fn optimizer_of(&self, objective: &str) -> PathBuf {
        self.0.join(format!("optimizer-{objective}.safetensors"))
    }

    pub(crate) fn checkpoints(&self) -> PathBuf {
        self.0.join("checkpoints")
    }

    /// Checkpoints and metrics of one objective.
    pub(crate) fn checkpoints_of(&self, objective: &str) -> PathBuf {
        self.checkpoints().join(objective)
    }

    /// What the samples lose that the policy of the replay buffer chooses among, where it asks for that.
    pub(crate) fn replay_losses(&self) -> PathBuf {
        self.0.join("replay_losses.json")
    }

    /// A reward plugin as it was frozen.
    pub(crate) fn plugin(&self, name: &str) -> PathBuf {
        self.0.join("plugins").join(format!("{name}.wasm"))
    }

    /// Adapters under training, as a rollout server is given them.
    pub(crate) fn rollouts(&self) -> PathBuf {
        self.0.join("rollouts")
    }

    /// What the plugins said while the candidate learned from them.
    pub(crate) fn rewards(&self) -> PathBuf {
        self.0.join("rewards.jsonl")
    }

    /// The same as a picture.
    pub(crate) fn rewards_chart(&self) -> PathBuf {
        self.0.join("rewards.svg")
    }

    /// The trained adapter, before it is stored under its name.
    pub(crate) fn candidate(&self) -> PathBuf {
        self.0.join("candidate")
    }

    /// The samples of the mix that no step of training came to.
    pub(crate) fn unseen(&self) -> PathBuf {
        self.0.join("unseen.json")
    }

    /// The suites as they were asked, whatever becomes of the golden files.
    pub(crate) fn suites(&self) -> PathBuf {
        self.0.join("suites.json")
    }

    /// The golden suites as they were when the mix was drawn.
    pub(crate) fn golden(&self) -> PathBuf {
        self.0.join("golden.json")
    }

    /// The anchor, and what it and the candidate are asked to be compared.
    pub(crate) fn anchor(&self) -> PathBuf {
        self.0.join("anchor.json")
    }

    /// How both sides did on the suites, item by item.
    pub(crate) fn scores(&self) -> PathBuf {
        self.0.join("scores.json")
    }

    /// What had moved in what comes in when the cycle collected its samples.
    pub(crate) fn drift(&self) -> PathBuf {
        self.0.join("drift.json")
    }

    /// What the phases have to tell the reader of the report, a file each.
    pub(crate) fn notes(&self) -> PathBuf {
        self.0.join("notes")
    }

    pub(crate) fn report_json(&self) -> PathBuf {
        self.0.join("report.json")
    }

    pub(crate) fn report_markdown(&self) -> PathBuf {
        self.0.join("report.md")
    }
}

/// What a file of the folder holds; `None` where it is not there.
///
/// # Errors
/// Where it cannot be read, or holds something else.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    match fs::read(path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json).with_context(|| path.display().to_string())?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}
