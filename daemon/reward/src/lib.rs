//! The host of reward plugins: WASM components in a sandbox, limited, deterministic, never trusted.
//!
//! A plugin judges a prompt's group of completions ([`Task`]). It sees its configuration and the task, and nothing else: no
//! files, no clock, no network, no memory of other calls. What it may spend is limited ([`HostOptions`]), and what it
//! answers is held to the interface (`sdk/wit/reward.wit`) and to its own [`Descriptor`]. Whatever it does ends in one of
//! four [`Outcome`]s. Read top to bottom:
//!
//! 1. [`inspect`] reads what a file says it is, without compiling it,
//! 2. [`Host::load`] judges, compiles, describes and configures it, or has a [`Loader`] do so, which can be killed,
//! 3. [`Plugin::score`] runs one call,
//! 4. a [`Panel`] asks several plugins, with weights, and a [`pool`] does so on as many threads as it is given,
//! 5. [`check_fault_ratio`] and [`Statistics`] say how they did.
//!
//! Everything is synchronous; the only thread is the [`Ticker`]'s, which the program starts.

mod bindings;
mod cache;
mod call;
mod call_state;
mod compile;
mod contract;
mod descriptor;
mod error;
mod extent;
mod fault;
mod fault_ratio;
mod host;
mod imports;
mod inspect;
mod inspection;
mod limits;
mod load;
mod loader;
mod log;
mod options;
mod outcome;
mod panel;
mod plugin;
mod pool;
mod prepare;
mod profile;
mod schema;
mod serve;
mod slots;
mod statistics;
mod system;
mod task;
mod text;
mod ticker;
mod wasi;

pub use compile::Compilation;
pub use contract::REASON_BYTES_MAX;
pub use descriptor::{Descriptor, HELP_BYTES_MAX, NAME_BYTES_MAX, PARTS_MAX, PartSpec, SCHEMA_BYTES_MAX};
pub use error::{HostError, LoadError, Refusal};
pub use fault_ratio::{TooManyFaults, check_fault_ratio};
pub use host::Host;
pub use imports::INTERFACE_VERSIONS;
pub use inspect::inspect;
pub use inspection::{Inspection, Kind};
pub use loader::{Depth, Job, Loaded, Loader, Order};
pub use options::{HostOptions, PluginOptions, Wasi};
pub use outcome::{Cost, Fault, FaultKind, LogLevel, LogLine, Outcome, OutcomeKind, Score, Scoring};
pub use panel::{GroupVerdict, Member, Panel, TIME_OUT_RETRIES_MAX};
pub use plugin::{Plugin, PluginIdentity};
pub use pool::{Judged, Pool, PoolError, pool};
pub use profile::Profile;
pub use schema::check_config;
pub use serve::{Ordered, read_answer, read_job, write_job};
pub use statistics::{Moments, PluginStatistics, Statistics};
pub use task::{Completion, Task};
pub use ticker::Ticker;
