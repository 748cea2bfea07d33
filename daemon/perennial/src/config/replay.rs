use std::path::PathBuf;

use perennial_data::replay::PolicyKind;
use serde::{Deserialize, Serialize};

use super::Ratio;

/// `[replay]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Replay {
    pub(crate) policy: PolicyKind,
    pub(crate) ratio: Ratio,
    pub(crate) auto_ratio_min: f64,
    pub(crate) auto_ratio_max: f64,
    pub(crate) repeats_max: u64,
    pub(crate) fallen_ratio: f64,
    pub(crate) capacity: u64,
    pub(crate) embedding: Embedding,
    pub(crate) layer: Option<usize>,
    pub(crate) base_answers: BaseAnswers,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            policy: PolicyKind::default(),
            ratio: Ratio::Fixed(0.2),
            auto_ratio_min: 0.1,
            auto_ratio_max: 0.5,
            repeats_max: 1,
            fallen_ratio: 0.5,
            capacity: 100_000,
            embedding: Embedding::Sif,
            layer: None,
            base_answers: BaseAnswers::default(),
        }
    }
}

/// `[replay.base_answers]`: answers of the base model that are a part of every mix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BaseAnswers {
    pub(crate) ratio: f64,
    /// The prompts that ship where it is unset.
    pub(crate) file: Option<PathBuf>,
    pub(crate) answer_tokens_max: u64,
    pub(crate) prompts_max: u64,
}

impl Default for BaseAnswers {
    fn default() -> Self {
        Self { ratio: 0.1, file: None, answer_tokens_max: 96, prompts_max: 1000 }
    }
}

/// How a sample's vector in the buffer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Embedding {
    /// Frequency-weighted mean of token embeddings.
    Sif,
    /// Mean of the hidden states of a layer.
    Hidden,
}
