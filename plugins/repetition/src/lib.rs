//! Reward plugin: whether the answer repeats itself, by n-grams and by loops. See the README.

mod loops;

use std::collections::BTreeSet;

use perennial_reward_sdk::{export, prelude::*, text::ngrams};

use crate::loops::looped;

/// What repeats.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Unit {
    /// Words, regardless of case.
    #[default]
    Words,
    /// Characters other than white space: for languages without spaces between words.
    Chars,
}

/// The keys of the configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What repeats.
    unit: Unit,
    /// The n of the n-grams.
    #[schemars(range(min = 1, max = 16))]
    n: usize,
    /// The share of n-grams that may be repetitions without any loss of reward: natural text repeats some.
    #[schemars(range(min = 0.0, max = 0.99))]
    allowed_share: f64,
    /// The longest stretch, in units, that is looked for as a loop.
    #[schemars(range(min = 1, max = 256))]
    period_max: usize,
    /// How often in a row a stretch must stand to be a loop.
    #[schemars(range(min = 2))]
    repeats_min: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { unit: Unit::default(), n: 3, allowed_share: 0.0, period_max: 32, repeats_min: 3 }
    }
}

/// Rewards an answer without repetition with 1, one that says nothing new with nearly 0.
pub struct Repetition(Config);

impl Reward for Repetition {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("repetition", env!("CARGO_PKG_VERSION"), "Whether the answer repeats itself.")
            .part("distinct", 0.0..=1.0, "the share of n-grams that are distinct")
            .part("loop_free", 0.0..=1.0, "the share of the answer that is outside loops")
    }

    fn new(config: Config) -> Result<Self, Fault> {
        Ok(Self(config))
    }

    fn score(&self, _task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let Config { unit, n, allowed_share, period_max, repeats_min } = self.0;
        let units = unit.split(completion);
        let total = ngrams(&units, n).count();
        let distinct = match total {
            0 => 1.0,
            total => ngrams(&units, n).collect::<BTreeSet<_>>().len() as f64 / total as f64,
        };
        let looped = looped(&units, period_max, repeats_min);
        let loop_free = if units.is_empty() { 1.0 } else { 1.0 - looped as f64 / units.len() as f64 };
        let reward = loop_free.min((distinct / (1.0 - allowed_share)).min(1.0));
        let verdict = Verdict::scored(reward).part("distinct", distinct).part("loop_free", loop_free);
        if reward == 1.0 {
            return Ok(verdict);
        }
        let reason =
            format!("{:.0}% of {n}-grams repeated, {:.0}% looped", 100.0 * (1.0 - distinct), 100.0 * (1.0 - loop_free));
        Ok(verdict.reason(reason))
    }
}

impl Unit {
    fn split(self, text: &str) -> Vec<String> {
        match self {
            Self::Words => text.split_whitespace().map(str::to_lowercase).collect(),
            Self::Chars => text.chars().filter(|c| !c.is_whitespace()).map(String::from).collect(),
        }
    }
}

export!(Repetition);

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::{
        serde_json::json,
        testing::{self, CaseError, reward, task},
    };
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cases() -> Result<(), CaseError> {
        testing::run_cases::<Repetition>("cases").map(drop)
    }

    proptest! {
        #[test]
        fn saying_it_again_never_helps(text in "[a-c ]{1,40}", again in 2usize..5) {
            let score = |text: String| reward::<Repetition>(json!({"n": 2}), &task("p"), text);
            let repeated = format!("{text} {text} ").repeat(again);
            prop_assert!(score(repeated) <= score(text));
        }
    }
}
