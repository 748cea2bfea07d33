use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tokenize::Encoded;

/// A row that is validated on.
#[derive(Clone, Debug)]
pub struct ValidationUnit {
    /// As the objective encodes it.
    pub sequences: Vec<Encoded>,
    /// Where it comes from: new data, or what is replayed.
    pub origin: String,
    /// The domain of the rows, for the balanced mean.
    pub domain: String,
}

/// What a run validates on, and who hears of it.
pub struct Validating<'a> {
    /// The rows; none of them is trained on.
    pub units: Vec<ValidationUnit>,
    /// Hears of every validation.
    pub on_loss: &'a mut dyn FnMut(&Validation),
}

/// The loss on the rows that are validated on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationLoss {
    /// As the objective has it over all rows together: of supervised fine-tuning in nats per target, as transformers' `eval_loss`.
    pub loss: f64,
    /// The mean over the origins of the mean over their domains, each domain's loss as the objective has it: so that neither
    /// what is new nor what is old decides by the length or the number of its answers. This is what is chosen by.
    pub balanced: f64,
    /// Over the rows of each origin together.
    pub origins: BTreeMap<String, f64>,
}

/// A line of metrics.jsonl that says what a validation came to, by transformers' names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Steps that were through; 0 before the first.
    pub step: u64,
    /// Epochs that were through.
    pub epoch: f64,
    /// [`ValidationLoss::loss`].
    pub eval_loss: f64,
    /// [`ValidationLoss::balanced`].
    pub eval_loss_balanced: f64,
    /// [`ValidationLoss::origins`].
    pub eval_loss_by_origin: BTreeMap<String, f64>,
    /// Wall time, in seconds.
    pub eval_runtime: f64,
}
