//! What holds a run back besides its objective, so that it forgets less. Each is a file with its keys, its formula and where that
//! comes from.
//!
//! A [`Penalty`] is a function of the numbers that are trained. The next one is a file with its `of`, a line in [`PENALTIES`], its keys
//! in [`PenaltyConfig`] and its figure in [`PENALTY_FIGURES`]; copy from `l2_sp.rs`. What goes by distributions is
//! [`distillation`].

mod config;
pub(super) mod distillation;
mod ewc;
mod fisher;
mod l2_sp;
mod orthogonal;
mod past;
#[cfg(test)]
pub(super) mod testing;

pub use config::PenaltyConfig;
pub use distillation::{DistillationConfig, HeldTo};
pub use ewc::EwcConfig;
pub use fisher::Fisher;
pub use l2_sp::L2SpConfig;
pub use orthogonal::OrthogonalConfig;
pub use past::Past;

use super::{TrainError, parameters::Parameters};

/// A term of the loss that is a function of the parameters alone.
pub(super) trait Penalty {
    /// What metrics.jsonl calls its value.
    fn figure(&self) -> &'static str;

    /// Its value, and its derivative by each number, added to `gradients`, which belong to the matrices of `parameters` in order.
    fn add(&self, parameters: &Parameters, gradients: &mut [Vec<f32>]) -> f64;
}

/// A penalty as it is configured; `None` where it is off, or where nothing was learned that it could hold to.
type Of = fn(&PenaltyConfig, Past<'_>) -> Result<Option<Box<dyn Penalty>>, TrainError>;

const PENALTIES: [Of; 3] = [
    |config, past| l2_sp::of(&config.l2_sp, past),
    |config, past| ewc::of(&config.ewc, past),
    |config, past| orthogonal::of(&config.orthogonal, past),
];

/// What penalties add to a line of metrics.jsonl, where they are on.
pub const PENALTY_FIGURES: [&str; 6] = [
    l2_sp::FIGURE,
    ewc::FIGURE,
    orthogonal::FIGURE,
    distillation::FIGURE,
    distillation::CHAMPION_FIGURE,
    distillation::BASE_FIGURE,
];

/// All that are on.
pub(super) fn penalties(config: &PenaltyConfig, past: Past<'_>) -> Result<Vec<Box<dyn Penalty>>, TrainError> {
    PENALTIES.iter().filter_map(|of| of(config, past).transpose()).collect()
}
