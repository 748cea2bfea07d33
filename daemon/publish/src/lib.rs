//! Where the champion goes. The registry's champion is the wish; each target, such as the folder that production reads, follows.
//!
//! - [`Publisher`]: one target. What kinds there are, each with its keys, stands in `kinds/`: a new kind is a file
//!   there, beside [`FolderConfig`]'s, and a line.
//! - [`Reconciler`]: the one who brings targets to serve the wish: each by one thread at a time, a bounded number of times with
//!   growing pauses, and idempotent, so that a crash between any two steps does no harm.
//! - [`http`]: what targets behind HTTP share.
//! - [`Exporter`]: what targets ask of the program around where their servers do not load PEFT's files.
//! - [`Ledger`]: what the reconciler asks of the registry, which this crate does not know.
//!
//! Nothing here starts a thread, and tries go by the time that the caller gives; a clock is read only for the timestamps that a
//! webhook signs.

mod error;
mod event;
mod exporter;
pub mod http;
mod json_server;
mod kinds;
mod ledger;
mod link;
mod probe;
mod program;
mod publisher;
mod reconciler;
mod remote;
mod secret;
mod settings;
#[cfg(test)]
mod testing;
mod wish;

pub use error::PublishError;
pub use exporter::Exporter;
pub use kinds::*;
pub use ledger::{Ledger, LedgerError};
pub use link::{astray, current};
pub use publisher::{Observed, Publisher, Reach, Tries};
pub use reconciler::{Look, Outcome, Reconciler, When};
pub use settings::{Fault, PathKey, Settings, Surroundings};
pub use wish::{Champion, Wish};
