use std::collections::BTreeSet;

use perennial_types::Fingerprint;

use super::{OptimizerState, validation::Validated};
use crate::adapter::Adapter;

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It went through all its steps.
    Trained(Trained),
    /// It was asked to stop, and goes on from its checkpoint when it is started again.
    Stopped {
        /// Optimiser steps that are through.
        step: u64,
    },
}

/// The result of a run.
#[derive(Debug)]
pub struct Trained {
    /// After the last step or, where that is asked for, the best one; in f32.
    pub adapter: Adapter,
    /// What AdamW knows at the end; `None` where the adapter is not what the last step left, but an average of steps or an earlier one.
    pub optimizer: Option<Box<OptimizerState>>,
    /// Optimiser steps that it took.
    pub steps: u64,
    /// The loss of the last step, in nats per target; unknown where a run had ended before and its metrics are lost.
    pub loss: Option<f64>,
    /// Whether any step had something to learn from: a gradient and a rate that were not 0 and, where it learned from rewards,
    /// completions that the rewards told apart. Without it the adapter is worth no more than before.
    pub learned: bool,
    /// The rows or prompts that its steps were made of, by their places among all that it was given.
    pub seen: BTreeSet<usize>,
    /// The run that made it.
    pub run: Fingerprint,
    /// What validation said, where there was any.
    pub validation: Option<Box<Validated>>,
}
