//! Cycles, adapters and lineage in SQLite, and the folders of adapters.
//!
//! - [`Registry`]: the catalogue of segments and samples, the ingest ledger, cycles with their phases, adapters with their
//!   lineage, and the champion, in one SQLite database. Every function that writes is one transaction that is on disk when
//!   it returns.
//! - [`invariants`]: each safety property as one function, which the code that could break it calls before it commits, and
//!   which tests and [`Registry::check`] call too.
//! - [`store`]: adapter folders that never change.
//! - [`ChampionKeeper`]: who changes the champion, each time after its files were verified.
//!
//! Times are milliseconds since the Unix epoch and are given by the caller: nothing here reads a clock.

mod adapter;
mod attempts;
mod catalogue;
mod champion;
mod check;
mod column;
mod cycle;
mod cycle_rows;
mod cycles;
mod database;
mod ending;
mod error;
mod holds;
pub mod invariants;
mod keeper;
mod lookup;
mod pins;
mod promotions;
mod publications;
mod questions;
mod samples;
mod set_aside;
mod sources;
pub mod store;
mod suite_metrics;
mod tries;
mod windows;

pub use adapter::{Adapter, AdapterState, GateRecord, Lineage};
pub use catalogue::{NewSample, NewSegment};
pub use cycle::{Cycle, CycleOutcome, NewAdapter, NewCycle, NewDecision, Phase, PhaseRecord, Product, Trouble};
pub use database::Registry;
pub use error::RegistryError;
pub use holds::{Hold, HoldAnswer};
pub use keeper::{ChampionKeeper, ChangeError};
pub use pins::{Pin, PinReason};
pub use promotions::{Promotion, PromotionReason};
pub use samples::{DomainCounts, Fresh, SampleCount, SampleRecord};
pub use set_aside::SetAsideRecord;
pub use sources::{Source, Taken};
pub use tries::Tries;
pub use windows::SourceCounts;
