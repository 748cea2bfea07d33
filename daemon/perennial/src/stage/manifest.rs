use anyhow::{Context as _, bail};
use perennial_data::mix::{Manifest, Origin};
use perennial_learn::train::TrainConfig;
use perennial_types::{AdapterId, CycleId, Fingerprint};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    config,
    rewards::{FrozenPlugin, GrpoStage},
};

/// What the manifest of a mix says beside the mix itself: all that determines the adapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StageManifest {
    /// The cycle that the mix was frozen for.
    pub(crate) cycle: CycleId,
    /// The fingerprint of the base model's weights.
    pub(crate) base: Fingerprint,
    /// What the adapter is computed in. Manifests from before there was a choice say nothing.
    #[serde(default = "f32")]
    pub(crate) precision: config::Precision,
    /// The base model's name, for `adapter_config.json`.
    pub(crate) base_name: String,
    /// The adapter in `parent/` that training goes on from; `None` starts afresh.
    pub(crate) parent: Option<AdapterId>,
    /// Whether prompts that are strings are read as a user's turn. Manifests from before there was a choice say nothing.
    #[serde(default)]
    pub(crate) prompt_as_chat: bool,
    /// What is minimised, and how to train.
    pub(crate) train: config::Train,
    /// What share of the loss each origin of samples has. Manifests from before there were shares say nothing: every token then
    /// counts the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shares: Option<LossShares>,
    /// The objectives one after the other, each with its keys. Manifests from before there were stages say it in `train` and
    /// `grpo`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) stages: Vec<config::TrainStage>,
    /// Where the candidate lies between the slow adapter and what is trained, in a cycle that consolidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) consolidation: Option<Consolidation>,
    /// How to learn from rewards, where that is an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) grpo: Option<GrpoStage>,
    /// The reward plugins, for training and for suites; their bytes are in `plugins/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) plugins: Vec<FrozenPlugin>,
}

/// That a candidate is consolidated (`train.slow`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Consolidation {
    /// The adapter, in `slow/` under its name; `None` is the base model.
    pub(crate) slow: Option<AdapterId>,
    /// The share of the way from there to what is trained.
    pub(crate) alpha: f64,
}

fn f32() -> config::Precision {
    config::Precision::F32
}

/// The shares of the origins of samples in the loss of objectives that learn from rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LossShares {
    /// Of new samples.
    pub(crate) new: f64,
    /// Of replayed ones.
    pub(crate) replay: f64,
    /// Of answers of the base model.
    #[serde(default, alias = "anchor")]
    pub(crate) base_answers: f64,
}

impl LossShares {
    pub(crate) fn of(&self, origin: Origin) -> f64 {
        match origin {
            Origin::New => self.new,
            Origin::Replay => self.replay,
            Origin::BaseAnswer => self.base_answers,
        }
    }
}

impl StageManifest {
    /// In the mix's manifest, beside its own fields.
    pub(crate) fn fields(&self) -> anyhow::Result<Map<String, Value>> {
        match serde_json::to_value(self)? {
            Value::Object(fields) => Ok(fields),
            _ => bail!("a manifest is an object"),
        }
    }

    /// What training does, one after the other.
    pub(crate) fn stages(&self) -> Vec<config::TrainStage> {
        match self.stages.is_empty() {
            true => config::stages_of(&self.train, self.grpo.as_ref().map(|grpo| &grpo.config)),
            false => self.stages.clone(),
        }
    }

    /// How to optimise, whatever the objective: a run that goes on from the champion warms up unless it is told otherwise.
    pub(crate) fn learner(&self, seed: u64) -> TrainConfig {
        self.train.learner_going_on(seed, self.parent.is_some())
    }

    pub(crate) fn read(manifest: &Manifest) -> anyhow::Result<Self> {
        let mut extra = manifest.extra.clone();
        if let Some(train) = extra.get_mut("train") {
            config::as_before_validation(train);
        }
        serde_json::from_value(Value::Object(extra)).context("the manifest names no training stage")
    }
}
