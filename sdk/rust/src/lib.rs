//! Reward functions for Perennial in Rust.
//!
//! A reward function looks at a prompt and one completion of it and says how good the completion is. Implement [`Reward`]
//! for a type, name that type in [`export!`], and `perennial plugin build` makes a WASM component of the crate that the
//! daemon runs in a sandbox:
//!
//! ```
//! use perennial_reward_sdk::prelude::*;
//!
//! /// The keys of the plugin's configuration. Doc comments become the help texts of its JSON schema.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     /// The word that a good answer has.
//!     word: String,
//! }
//!
//! struct HasWord(Config);
//!
//! impl Reward for HasWord {
//!     type Config = Config;
//!
//!     fn describe() -> Descriptor {
//!         Descriptor::new("has-word", env!("CARGO_PKG_VERSION"), "Whether a word is there.")
//!             .part("count", 0.0..=1e6, "how often the word is there")
//!     }
//!
//!     fn new(config: Config) -> Result<Self, Fault> {
//!         Ok(Self(config))
//!     }
//!
//!     fn score(&self, _task: &Task, completion: &str) -> Result<Verdict, Fault> {
//!         let count = completion.matches(&self.0.word).count();
//!         let reward = if count > 0 { 1.0 } else { 0.0 };
//!         Ok(Verdict::scored(reward).part("count", count as f64))
//!     }
//! }
//!
//! perennial_reward_sdk::export!(HasWord);
//! # fn main() {}
//! ```
//!
//! The same code runs natively in unit tests: see [`testing`].
//!
//! # What the host promises, and asks for
//! Each call runs in a fresh instance, so nothing is remembered between calls. There is no clock, no randomness, no file
//! and no network. The same configuration and task must give the same verdicts. Rewards and parts must be finite and
//! inside the ranges that the [`Descriptor`] declares. A plugin that has no opinion says [`Verdict::abstain`], never
//! zero: what abstains is left out, what gets zero is trained away from.

mod descriptor;
mod export;
mod fault;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod level;
pub mod log;
mod reward;
mod task;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod text;
mod verdict;

pub use descriptor::{Descriptor, PartSpec};
pub use fault::Fault;
pub use reward::{GroupReward, Reward, answer, descriptor_with_schema};
pub use schemars;
pub use serde;
pub use serde_json;
pub use task::{Message, Role, Sample, Task};
pub use verdict::{REASON_BYTES_MAX, Score, Verdict};

/// What a plugin needs by name.
///
/// The derives of `Deserialize` and `JsonSchema` name their crates, so an author's `Cargo.toml` lists `serde` and
/// `schemars` beside this crate.
pub mod prelude {
    pub use schemars::JsonSchema;
    pub use serde::Deserialize;

    pub use crate::{Descriptor, Fault, GroupReward, Message, Reward, Role, Sample, Score, Task, Verdict};
}
