//! Validation: the loss on rows of a mix that nothing is learned from, while a run learns from the others. It tells a run when to
//! stop, which of its checkpoints to end with, and afterwards how far to go from the champion.

mod loss;
mod validator;
mod watch;

pub use loss::{Validating, Validation, ValidationLoss, ValidationUnit};
pub(super) use validator::Validator;
pub use watch::Validated;
pub(super) use watch::Watch;
