//! What of production's data moved, and when a cycle is due: pure functions, without a clock, a registry or a file.
//!
//! - [`Detector`]: a score of two windows of samples, with a stated meaning. The next one is a file in `detectors/` and a line in
//!   [`DETECTORS`].
//! - [`Trigger`]: what begins a cycle. The next one is a file in `triggers/` and a line in [`TRIGGERS`].

mod detectors;
mod triggers;

pub use detectors::{DETECTORS, Detector, Window};
pub use triggers::{Cause, Due, Limits, MANUAL, Next, Standing, TRIGGERS, Trigger, next};
