use std::path::Path;

use serde_json::{Map, Value};

use crate::{
    adapter::Adapter,
    model::Model,
    stop::StopFlag,
    tokenize::Encoded,
    train::{Shares, TrainConfig},
};

/// The keys of an objective, by their names.
pub type Keys = Map<String, Value>;

/// All that a run over rows is made of.
pub struct RowRun<'a> {
    /// The base model.
    pub model: &'a Model,
    /// What it goes on from; a fresh adapter where there is none.
    pub parent: Option<Adapter>,
    /// What objectives that compare compare with: the champion's adapter, or the base model without one.
    pub reference: Option<&'a Adapter>,
    /// The encoded rows: the sequences of each.
    pub units: Vec<Vec<Encoded>>,
    /// What share of the loss each group of units has; all count the same without it.
    pub shares: Option<Shares>,
    /// The objective's own keys.
    pub keys: &'a Keys,
    /// Everything else about the optimisation. What the keys say stands above it.
    pub train: &'a TrainConfig,
    /// For checkpoints and metrics.
    pub checkpoint_dir: &'a Path,
    /// Asks it to stop.
    pub stop: &'a StopFlag,
}
