//! Drives the built program from the outside, as its users do: command line, HTTP, files and signals.
//!
//! The scenarios, the crash tests and `cargo xtask demo` share it. It knows the program by its documented interface, and
//! the registry, whose functions for the safety properties serve the program and its tests alike.

mod daemon;
mod fixture;
#[cfg(feature = "registry")]
#[path = "../hostile/guest.rs"]
#[allow(dead_code, clippy::expect_used, reason = "the guests of the sandbox's tests; these need some of them")]
mod guest;
#[cfg(feature = "registry")]
pub mod hostile;
mod http;
mod metrics;
mod program;
#[cfg(feature = "data")]
mod published;
mod reference;
mod response;
#[cfg(feature = "data")]
mod segments;
#[cfg(feature = "unit")]
mod unit_rules;
mod workspace;

pub use daemon::{Daemon, Exit};
pub use fixture::{Fixture, task};
pub use http::Http;
pub use metrics::Metrics;
pub use program::{Finished, Program, REJECTED};
#[cfg(feature = "data")]
pub use published::production_reads_the_champion;
pub use response::Response;
#[cfg(feature = "data")]
pub use segments::segments_hold_the_catalogue;
#[cfg(feature = "unit")]
pub use unit_rules::UnitRules;
pub use workspace::{SetOnDrop, repository, wait_until};
