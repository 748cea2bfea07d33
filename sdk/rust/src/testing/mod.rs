//! Native tests of reward functions: no WASM, no daemon.
//!
//! ```
//! # use perennial_reward_sdk::{prelude::*, testing};
//! # struct Brief;
//! # impl Reward for Brief {
//! #     type Config = serde_json::Value;
//! #     fn describe() -> Descriptor { Descriptor::new("brief", "0.1.0", "Short is good.") }
//! #     fn new(_: Self::Config) -> Result<Self, Fault> { Ok(Self) }
//! #     fn score(&self, _: &Task, completion: &str) -> Result<Verdict, Fault> {
//! #         Ok(Verdict::scored(if completion.len() < 20 { 1.0 } else { 0.0 }))
//! #     }
//! # }
//! use serde_json::json;
//!
//! let task = testing::task("What is 2+2?").reference("4");
//! assert_eq!(testing::reward::<Brief>(json!({}), &task, "4"), 1.0);
//! ```
//!
//! [`run_cases`] runs the same case files that `perennial plugin test` runs against the built plugin.
//!
//! Everything here goes through what the plugin exports: the configuration is parsed from JSON, and the verdicts are held
//! to the host's contract.

mod cases;
mod contract;
mod task;

use std::cell::RefCell;

pub use cases::{CaseError, run_cases};
pub use task::task;

use crate::{Fault, GroupReward, Task, Verdict, answer, level::Level};

/// Judges all completions of a task.
///
/// # Errors
/// The plugin's faults.
///
/// # Panics
/// Where the host would refuse the verdicts: wrong count, a value that is not finite or outside its declared range, an
/// undeclared part.
pub fn score<R: GroupReward>(config: serde_json::Value, task: &Task) -> Result<Vec<Verdict>, Fault> {
    let verdicts = answer::<R>(&config.to_string(), task)?;
    let breach = contract::breach(&R::describe(), task.samples.len(), &verdicts);
    assert!(breach.is_none(), "{}", breach.unwrap_or_default());
    Ok(verdicts)
}

/// Judges one completion of a task, whatever samples the task has.
///
/// # Errors
/// The plugin's faults.
///
/// # Panics
/// As [`score`].
pub fn score_one<R: GroupReward>(
    config: serde_json::Value,
    task: &Task,
    completion: impl Into<String>,
) -> Result<Verdict, Fault> {
    let verdicts = score::<R>(config, &task.clone().completions([completion]))?;
    verdicts.into_iter().next().ok_or_else(|| Fault::internal("no verdict"))
}

/// The reward of one completion, where the plugin must give one.
///
/// # Panics
/// As [`score`], and where the plugin abstains or faults.
pub fn reward<R: GroupReward>(config: serde_json::Value, task: &Task, completion: impl Into<String>) -> f64 {
    let verdict = score_one::<R>(config, task, completion);
    let reward = match &verdict {
        Ok(Verdict::Scored(score)) => Some(score.reward),
        _ => None,
    };
    assert!(reward.is_some(), "no reward: {verdict:?}");
    reward.unwrap_or_default()
}

thread_local! {
    static LOG: RefCell<Option<Vec<(Level, String)>>> = const { RefCell::new(None) };
}

/// Runs something and returns what it logged beside its result.
pub fn logged<T>(run: impl FnOnce() -> T) -> (T, Vec<(Level, String)>) {
    LOG.set(Some(Vec::new()));
    let result = run();
    (result, LOG.take().unwrap_or_default())
}

pub(crate) fn record(level: Level, message: &str) {
    LOG.with_borrow_mut(|log| {
        if let Some(lines) = log {
            lines.push((level, message.to_owned()));
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Descriptor, log, prelude::*};

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Config {
        value: f64,
    }

    struct Constant(f64);

    impl Reward for Constant {
        type Config = Config;

        fn describe() -> Descriptor {
            Descriptor::new("constant", "0.1.0", "Always the same.").range(-1.0..=1.0)
        }

        fn new(config: Config) -> Result<Self, Fault> {
            Ok(Self(config.value))
        }

        fn score(&self, _: &Task, completion: &str) -> Result<Verdict, Fault> {
            log::info(completion);
            Ok(Verdict::scored(self.0))
        }
    }

    #[test]
    fn runs_what_the_plugin_exports() {
        let (reward, log) = logged(|| reward::<Constant>(json!({"value": 0.5}), &task("p"), "c"));
        assert_eq!((reward, log), (0.5, vec![(Level::Info, "c".to_owned())]));
        let fault = score_one::<Constant>(json!({"values": 1}), &task("p"), "c");
        assert!(matches!(fault, Err(Fault::BadConfig(why)) if why.contains("values")));
    }

    #[test]
    #[should_panic(expected = "outside")]
    fn rewards_outside_the_range_fail() {
        reward::<Constant>(json!({"value": 2}), &task("p"), "c");
    }

    #[test]
    fn schema_is_derived_from_the_configuration() {
        let (descriptor, schema) = crate::descriptor_with_schema::<Constant>();
        let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(descriptor.name, "constant");
        assert_eq!(schema["required"], json!(["value"]));
        assert_eq!(schema["additionalProperties"], json!(false));
    }
}
