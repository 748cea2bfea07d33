//! The slow time scale (`train.slow`): in some cycles the candidate is slow + alpha · (trained − slow), as Lookahead (arXiv 1907.08610)
//! and Reptile (arXiv 1803.02999) have it for steps and tasks; here for cycles, each gated. Which cycles, and which adapter is the slow
//! one, is decided where the mix is frozen.

use perennial_learn::adapter::{Adapter, Rebased};
use perennial_types::AdapterId;
use serde::Serialize;

use super::{Consolidation, Stage};
use crate::telemetry::Consolidated;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SlowStep {
    /// The slow adapter; `None` is the base model.
    slow: Option<AdapterId>,
    /// The share of the way that was gone.
    alpha: f64,
    /// The share of the change's squared norm that the rank could hold; 1 where nothing was cut off.
    kept: f64,
}

/// The candidate in the shape of what was trained.
pub(super) fn run(
    stage: &Stage<'_>,
    Consolidation { slow, alpha }: &Consolidation,
    trained: &Adapter,
) -> anyhow::Result<(Adapter, SlowStep)> {
    let from = slow.as_ref().map(|slow| Adapter::load_peft(&stage.folder.slow_of(slow))).transpose()?;
    let between = trained.interpolated(from.as_ref(), *alpha)?;
    let Rebased { adapter, kept } = match from {
        Some(_) => between.rebased(trained.config(), &stage.model.config, stage.seed)?,
        None => Rebased { adapter: between, kept: 1.0 },
    };
    stage.telemetry.emit(Consolidated { alpha: *alpha, kept });
    Ok((adapter, SlowStep { slow: slow.clone(), alpha: *alpha, kept }))
}

impl SlowStep {
    /// For the report.
    pub(super) fn told(&self) -> String {
        let slow =
            self.slow.as_ref().map_or_else(|| "the base model".to_owned(), |slow| format!("the slow adapter {slow}"));
        let mut told = format!(
            "The candidate is consolidated (train.slow): it is {} of the way from {slow} to what was trained, and becomes the slow \
             adapter once it is promoted.",
            self.alpha
        );
        if self.kept < 1.0 {
            told += &format!(" The rank holds {:.2} % of that change (of the squared norm).", 100.0 * self.kept);
        }
        told
    }
}
