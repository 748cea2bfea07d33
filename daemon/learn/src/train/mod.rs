//! Training of an adapter: packing, batches, gradients, AdamW, schedules, checkpoints.
//!
//! [`objective`] holds what can be minimised: supervised fine-tuning, learning from rewards. Each is a loss over the
//! log-probabilities of targets, and all share everything else: one loop, one form of checkpoints, one name of a run. A run stays on
//! the calling thread, with rayon inside the kernels; never run it on an async runtime.
//!
//! A run is a pure function of model, parent adapter, examples and configuration. The order of the examples depends on the
//! seed and the epoch alone, so parameters, optimiser state and the number of the step are all that a checkpoint needs, and
//! an interrupted run ends with the same bytes as one that never was.

mod activations;
mod adamw;
mod batches;
mod canonical;
mod checkpoint;
mod checkpoint_file;
mod choice;
mod config;
mod device;
mod distillation;
mod earlier;
mod ema;
mod error;
mod fisher_file;
mod forward;
mod frozen;
mod gradients;
mod kept_file;
mod lesson;
mod metrics;
mod micro_batch;
mod numbers;
pub mod objective;
mod optimizer_file;
mod optimizer_state;
mod outcome;
mod packing;
mod parameters;
mod passes;
mod penalty;
mod run;
mod schedule;
mod schedules;
mod shares;
mod state;
mod trainer;
mod validation;

pub use activations::ActivationPlan;
pub use checkpoint::newest_checkpoint;
pub use config::TrainConfig;
pub use device::TrainDevice;
pub use error::TrainError;
pub use gradients::LossAndGradients;
pub use metrics::{METRICS_FILE, Progress};
pub use objective::{grpo, loss_and_gradients, train};
pub use optimizer_state::OptimizerState;
pub use outcome::{Outcome, Trained};
pub use penalty::{
    DistillationConfig, EwcConfig, Fisher, HeldTo, L2SpConfig, OrthogonalConfig, PENALTY_FIGURES, Past, PenaltyConfig,
};
pub use run::check_shape;
pub use schedules::Schedule;
pub use shares::{LossWeighting, Shares, WEIGHT_MAX};
pub use validation::{Validated, Validating, Validation, ValidationLoss, ValidationUnit};

pub use crate::stop::StopFlag;
