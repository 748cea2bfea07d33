//! Drives the built program from the outside, as its users do: command line, HTTP, files and signals.
//!
//! The scenarios, the crash tests and `cargo xtask demo` share it. It knows the program by its documented interface
//! alone and depends on none of its crates.

mod daemon;
mod http;
mod metrics;
mod program;
mod workspace;

pub use daemon::{Daemon, Exit};
pub use http::{Http, Response};
pub use metrics::Metrics;
pub use program::{Finished, Program};
pub use workspace::{repository, wait_until};
