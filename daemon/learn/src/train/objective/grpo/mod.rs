//! Group relative policy optimisation (GRPO, arXiv 2402.03300) and its relatives: learning from rewards.
//!
//! Each generation draws prompts, lets an [`Environment`] answer each several times and score the answers, and turns the
//! rewards of a group into advantages: how much better an answer is than the others. The steps that follow make tokens of
//! good answers likelier and of bad ones less likely, within bounds.
//!
//! A step's loss is a function of the log-probabilities of the completions' tokens alone. Its derivative by each of them is
//! computed by hand, in f64, and the rest of the backward pass is that of supervised fine-tuning with these as weights.
//!
//! The forward pass of a step that is the first and only one after its generation was computed when its completions were drawn
//! ([`RolloutActivations`](crate::rollout::RolloutActivations)).
//!
//! Completions whose advantage is 0 have no gradient, and are left out of the passes where nothing is measured on them; they
//! count in the loss's divisor all the same. A step in which nothing is left still is one: the optimiser's momentum goes on.

mod advantages;
mod canonical;
mod config;
mod corrections;
mod earlier;
mod environment;
mod generation;
mod loss_types;
mod objective;
mod progress;
mod prompts;
mod run;
mod sample;
mod sampling_weights;
mod scales;
mod step;

pub use advantages::{Advantages, advantages};
pub use config::{Estimator, GrpoConfig, ImportanceSamplingLevel};
pub use corrections::SamplingCorrection;
pub use environment::{Completion, Environment, GrpoPrompt, ScoredGroup};
pub use loss_types::LossType;
pub use progress::{GrpoProgress, PolicyStats, RolloutStats};
pub use run::train_grpo;
pub use sample::{GrpoSample, completion_logprobs};
pub use scales::ScaleRewards;
pub use step::grpo_loss_and_gradients;

pub use crate::train::error::EnvironmentError;

/// The name in the configuration.
pub const NAME: &str = "grpo";
