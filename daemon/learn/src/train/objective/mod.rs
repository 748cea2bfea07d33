//! What a run minimises. The loop over optimiser steps (`trainer.rs`), its checkpoints, its metrics and its name are the same
//! for all objectives; an objective says what each step learns from, and the loss of that with its derivatives.
//!
//! - [`rows`]: objectives that learn from the rows of a mix. A new one is a file beside `sft.rs` that implements
//!   `RowObjective`, and a line in [`OBJECTIVES`]. Its keys, its metrics and its stage in the program follow from that.
//! - [`grpo`]: learning from rewards, which draws what it learns from.

mod dpo;
mod evaluate;
mod fisher;
pub mod grpo;
mod reference;
mod registry;
mod row_loss;
mod row_objective;
mod row_run;
pub mod rows;
mod sft;

pub use fisher::FisherRun;
pub use registry::{KeyError, ObjectiveKind, RowTrainer, objective_of};
pub use row_run::{Keys, RowRun, ValidationRun};
pub use sft::{loss_and_gradients, train};

use registry::{Drawn, OfRows};
use sft::Sft;

/// Every objective, in the order in which one may follow another.
pub static OBJECTIVES: [&dyn ObjectiveKind; 3] = [&OfRows::<Sft>::NEW, &OfRows::<dpo::Dpo>::NEW, &Drawn];
