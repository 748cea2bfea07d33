//! Training of an adapter: packing, batches, gradients, AdamW, schedules, checkpoints.
//!
//! [`train`] is supervised fine-tuning; [`grpo`] learns from rewards. Both minimise a loss over the log-probabilities of
//! targets, and share everything else. A run stays on the calling thread, with rayon inside the kernels; never run it on an
//! async runtime.
//!
//! A run is a pure function of model, parent adapter, examples and configuration. The order of the examples depends on the
//! seed and the epoch alone, so parameters, optimiser state and the number of the step are all that a checkpoint needs, and
//! an interrupted run ends with the same bytes as one that never was.

mod activations;
mod adamw;
mod batches;
mod checkpoint;
mod config;
mod device;
mod error;
mod forward;
mod gradients;
pub mod grpo;
mod metrics;
mod packing;
mod parameters;
mod passes;
mod run;
mod schedule;
mod sft;
mod stop;
mod trainer;

pub use activations::ActivationPlan;
pub use checkpoint::newest_checkpoint;
pub use config::{Schedule, TrainConfig};
pub use device::TrainDevice;
pub use error::TrainError;
pub use gradients::{LossAndGradients, loss_and_gradients};
pub use metrics::{METRICS_FILE, Progress};
pub use packing::pack;
pub use run::check_shape;
pub use stop::StopFlag;
pub use trainer::{Outcome, Trained, run_fingerprint, train};
