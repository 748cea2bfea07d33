//! What of production's data moved, and when a cycle is due: pure functions, without a clock, a registry or a file.
//!
//! - [`Detector`]: a score of two windows of samples and the threshold that it is held against. The next one is a file in
//!   `detectors/` and a line in [`DETECTORS`]; [`measure`] asks them all.
//! - [`Trigger`]: what begins a cycle. The next one is a file in `triggers/` and a line in [`TRIGGERS`].

mod calibration;
mod comparison;
mod detectors;
mod measure;
mod mix;
mod random;
mod ranks;
mod triggers;
mod window;

pub use calibration::{FALSE_ALARM_DAYS, FALSE_ALARMS};
pub use comparison::{Comparison, Tail};
pub use detectors::{DETECTORS, Detector, Scope};
pub use measure::{DOMAINS_MAX, Finding, Measured, SAMPLES_MIN, Thresholds, measure};
pub use random::Random;
pub use triggers::{Cause, Due, Limits, MANUAL, Next, Standing, TRIGGERS, Trigger, next};
pub use window::{Batch, Row, TOKEN_BINS, View, Window, token_bins};
