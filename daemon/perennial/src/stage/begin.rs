//! What training begins with.

use perennial_learn::{
    adapter::{Adapter, AdapterError, Rebased},
    model::Model,
};

use super::StageManifest;
use crate::config::Start;

/// The adapter of the first step; `None` for a fresh one.
pub(super) struct Beginning {
    pub(super) adapter: Option<Adapter>,
    /// What was done to the parent, for the report.
    pub(super) note: Option<String>,
}

impl Beginning {
    /// The parent as it is or, with `train.start = "rebase"`, in the configured shape.
    pub(super) fn of(
        parent: Option<&Adapter>,
        manifest: &StageManifest,
        model: &Model,
        seed: u64,
    ) -> Result<Self, AdapterError> {
        let config = manifest.train.lora();
        let (Some(parent), Start::Rebase) = (parent, manifest.train.start) else {
            return Ok(Self { adapter: parent.cloned(), note: None });
        };
        let differences = parent.config().differences(&config);
        if differences.is_empty() {
            return Ok(Self { adapter: Some(parent.clone()), note: None });
        }
        let Rebased { adapter, kept } = parent.rebased(&config, &model.config, seed)?;
        let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
        let note = format!(
            "The champion's adapter was re-based before training, since {}: {:.2} % of its change of the base model was \
             kept (of the squared norm).",
            differences.join(" and "),
            100.0 * kept
        );
        Ok(Self { adapter: Some(adapter), note: Some(note) })
    }
}
