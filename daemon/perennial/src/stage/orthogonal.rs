//! A fresh low-rank pair beside the frozen champion (O-LoRA, arXiv 2310.14152; `train.penalty.orthogonal`).
//!
//! While it is trained the adapter has twice the rank: the champion's numbers first, which stay as they are, and those that are
//! trained. The rank rule: a candidate has the configured rank again, so that ranks do not grow with cycles. Of the sum of both, each layer
//! keeps its largest singular values, which is the nearest that the rank can hold.

use perennial_learn::{
    adapter::{Adapter, AdapterError, Rebased, Spectrum},
    model::Model,
    train::{TrainError, check_shape},
};
use serde::Serialize;

use super::{Stage, StageManifest};
use crate::telemetry::BroughtBack;

/// What is trained where a pair is trained beside the champion.
pub(super) struct Beside {
    /// The champion's numbers and a fresh pair.
    pub(super) adapter: Adapter,
    /// How many first rows of A and columns of B are the champion's.
    pub(super) frozen_rank: usize,
}

/// What became of the pair.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Orthogonal {
    /// The share of the squared norm of champion and pair together that the rank holds.
    pub(crate) kept: f64,
    /// What was cut off, as a share of the squared norm of the pair alone.
    pub(crate) cut_off_of_new: f64,
}

/// Where it is configured and there is a champion; `first` is that in the configured shape.
pub(super) fn beside(
    first: Option<&Adapter>,
    manifest: &StageManifest,
    model: &Model,
    seed: u64,
) -> Result<Option<Beside>, TrainError> {
    let Some(first) = first.filter(|_| manifest.train.penalty.orthogonal.weight > 0.0) else { return Ok(None) };
    check_shape(first.config(), &manifest.train.lora())?;
    let fresh = Adapter::init(first.config(), model, seed)?;
    Ok(Some(Beside { adapter: first.plus(1.0, &fresh)?, frozen_rank: first.config().r }))
}

/// What was trained, in the configured rank; `None` where no pair was trained beside a champion.
pub(super) fn bring_back(stage: &Stage<'_>, trained: &Adapter) -> Result<Option<(Adapter, Orthogonal)>, AdapterError> {
    let Some(champion) = stage.past.champion.filter(|_| stage.past.frozen_rank > 0) else { return Ok(None) };
    let Rebased { adapter, kept } = trained.rebased(champion.config(), &stage.model.config, stage.seed)?;
    let squares = |adapter: &Adapter| -> Result<f64, AdapterError> {
        let spectrum = adapter.spectrum()?.unwrap_or_default();
        Ok(spectrum.values().map(|Spectrum { norm, .. }| norm * norm).sum())
    };
    let (whole, new) = (squares(trained)?, squares(&trained.plus(-1.0, champion)?)?);
    let cut_off_of_new = if new > 0.0 { (1.0 - kept) * whole / new } else { 0.0 };
    let found = Orthogonal { kept, cut_off_of_new };
    stage.telemetry.emit(BroughtBack { kept, cut_off_of_new });
    Ok(Some((adapter, found)))
}

impl Orthogonal {
    /// For the report.
    pub(super) fn told(&self, r: usize) -> String {
        format!(
            "What is new was learned by a pair of rank {r} beside the frozen champion, and both were brought back to rank {r} \
             (train.penalty.orthogonal): it holds {:.2} % of their change (of the squared norm), and what was cut off is {:.2} % of what \
             the new pair alone came to.",
            100.0 * self.kept,
            100.0 * self.cut_off_of_new
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_rank_could_not_hold_is_told_beside_what_was_learned() {
        let told = Orthogonal { kept: 0.9912, cut_off_of_new: 0.25 }.told(16);
        assert!(told.contains("of rank 16 beside") && told.contains("99.12 %") && told.contains("25.00 %"), "{told}");
    }
}
