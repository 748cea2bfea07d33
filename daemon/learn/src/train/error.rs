use std::{error::Error, path::PathBuf};

use perennial_durable::DurableError;

use crate::adapter::{AdapterError, ShapeDifference};

/// Why what answers prompts and scores the answers has none.
pub type EnvironmentError = Box<dyn Error + Send + Sync>;

/// Why a run could not start or go on. What has been trained is kept in the last checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A value of the configuration makes no sense.
    #[error("training: {key} {rule}")]
    Config {
        /// As the configuration names it, without its section.
        key: &'static str,
        /// What its value must be.
        rule: &'static str,
    },
    /// There is nothing to learn from.
    #[error("training: there are no examples")]
    NoExamples,
    /// An example has no target.
    #[error("training: example {example} has no supervised token after its first; leave it out")]
    NothingSupervised {
        /// Its place among the units of the run, from 0.
        example: usize,
    },
    /// There is more to compare with the reference than is kept.
    #[error(
        "training: {targets} tokens are to be compared with the reference, and what it says is kept of {targets_max} at most; \
         train on fewer or shorter samples"
    )]
    TooManyTargets {
        /// The targets of the run.
        targets: usize,
        /// The most.
        targets_max: usize,
    },
    /// An objective's keys are not its own.
    #[error("training: the keys of the objective cannot be read: {0}")]
    Keys(#[from] serde_json::Error),
    /// There is nothing to answer.
    #[error("training: there are no prompts")]
    NoPrompts,
    /// A prompt leaves no room for an answer, or has nothing to go on from.
    #[error("training: prompt {prompt} has {tokens} tokens; it needs from 1 to {tokens_max}: leave it out")]
    PromptLength {
        /// Its place among the prompts of the run, from 0.
        prompt: usize,
        /// Its length.
        tokens: usize,
        /// The most that leave room for one token.
        tokens_max: usize,
    },
    /// The rollouts of a generation could not be had.
    #[error("training: no rollouts for step {step}: {source}")]
    Environment {
        /// The optimiser step they were for, from 1.
        step: u64,
        /// What the environment gave as its error.
        source: EnvironmentError,
    },
    /// The environment broke its contract.
    #[error("training: the rollouts of prompt {prompt} {problem}")]
    Rollouts {
        /// The index of the prompt.
        prompt: usize,
        /// What is wrong, as the rest of a sentence.
        problem: String,
    },
    /// The parent adapter has another shape than the configuration asks for.
    #[error("training: the parent adapter has another shape: {}", differences.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    OtherShape {
        /// Where they differ.
        differences: Vec<ShapeDifference>,
        /// Whether it could be brought into the other shape ([`Adapter::rebased`](crate::adapter::Adapter::rebased)).
        can_rebase: bool,
    },
    /// The learning rate would be 0 in every step, and nothing would change.
    #[error(
        "training: the learning rate is 0 in every step: the run has {steps} steps, and warmup_ratio {warmup_ratio} makes all of them \
         the beginning of the warm-up; set warmup_ratio to 0, or take more steps"
    )]
    NoLearningRate {
        /// The optimiser steps of the run.
        steps: u64,
        /// The share of them that the warm-up takes.
        warmup_ratio: f64,
    },
    /// The folder holds a checkpoint of another run.
    #[error(
        "{path} is a checkpoint of another run (other model, parent, examples or configuration); \
         use another folder or remove it", path = path.display()
    )]
    OtherRun {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The computation left the numbers.
    #[error(
        "training: {what} is not finite in step {step}, over the examples {examples:?}; lower learning_rate, or look at them"
    )]
    NotFinite {
        /// The loss or the gradient.
        what: &'static str,
        /// The optimiser step, from 1.
        step: u64,
        /// Indices of the examples it was computed from.
        examples: Vec<usize>,
    },
    /// A checkpoint or the metrics could not be written or read.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The checkpoint, `metrics.jsonl`, or the folder of both.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A checkpoint could not be put into its format.
    #[error("cannot serialize a checkpoint: {0}")]
    Checkpoint(String),
    /// What is known of the importance of an adapter's numbers is not whole.
    #[error(
        "{path} is damaged: {problem}; remove it, and elastic weight consolidation begins anew", path = path.display()
    )]
    DamagedFisher {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// What was kept of AdamW's state is not whole.
    #[error("{path} is damaged: {problem}; remove it, and the optimiser begins anew", path = path.display())]
    DamagedOptimizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A GPU is asked for, and this build cannot use one.
    #[error("training: the device cuda takes a build with `--features cuda`; build again, or set device to cpu")]
    NotBuiltForCuda,
    /// There is no GPU that could be used.
    #[error("training: no CUDA device can be used: {0}; look at the driver, or set device to cpu")]
    NoGpu(candle_core::Error),
    /// The adapter could not be made or does not fit.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A tensor operation failed.
    #[error("training: {0}")]
    Tensors(#[from] candle_core::Error),
}

impl From<DurableError> for TrainError {
    fn from(DurableError { action, path, source }: DurableError) -> Self {
        Self::Io { action, path, source }
    }
}
