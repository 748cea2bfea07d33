//! Data on its way from what production sends to what a cycle trains on.
//!
//! - [`rows`]: reading JSON Lines, one judged line at a time; [`quarantine`]: where refused lines are kept.
//! - [`split`]: which samples are held out; [`segment`]: the immutable Parquet files that samples are stored in.
//! - [`replay`]: the LanceDB index of trained samples and the policies that keep and draw them.
//! - [`mix`]: the frozen training set of a cycle.
//!
//! Nothing here knows the registry: what is already stored, held out or trained on is told by the caller in plain values.

mod calendar;
mod columns;
pub mod mix;
mod parquet_file;
pub mod quarantine;
pub mod replay;
pub mod rows;
pub mod segment;
pub mod split;
