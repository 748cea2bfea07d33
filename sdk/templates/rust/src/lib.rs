//! The reward function. `perennial plugin build` makes a component of what `export!` names.

use std::collections::BTreeMap;

use perennial_reward_sdk::prelude::*;

/// The plugin's configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The longest answer that earns anything.
    #[serde(default = "words_max_default")]
    #[schemars(range(min = 1))]
    words_max: usize,
}

fn words_max_default() -> usize {
    100
}

/// How many words a short answer shares with the reference.
pub struct MyReward(Config);

impl Reward for MyReward {
    type Config = Config;

    fn describe() -> Descriptor {
        let help = "How many words a short answer shares with the reference";
        Descriptor::new("my-reward", env!("CARGO_PKG_VERSION"), help)
            .part("overlap", 0.0..=1.0, "F1 of the words of answer and reference")
            .part("brief", 0.0..=1.0, "1 where the answer is short enough")
    }

    fn new(config: Config) -> Result<Self, Fault> {
        Ok(Self(config))
    }

    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let Some(reference) = &task.reference else {
            return Ok(Verdict::abstain("the row has no reference"));
        };
        let given = words(completion);
        let overlap = f1(&given, &words(reference));
        if given.len() > self.0.words_max {
            let too_long = Verdict::scored(0.0).reason(format!("{} words", given.len()));
            return Ok(too_long.part("overlap", overlap).part("brief", 0.0));
        }
        Ok(Verdict::scored(overlap).part("overlap", overlap).part("brief", 1.0))
    }
}

perennial_reward_sdk::export!(MyReward);

fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

fn f1(given: &[String], expected: &[String]) -> f64 {
    let mut left = BTreeMap::new();
    expected.iter().for_each(|word| *left.entry(word).or_insert(0_usize) += 1);
    let mut shared = 0;
    for word in given {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    if shared == 0 { 0.0 } else { 2.0 * f64::from(shared) / (given.len() + expected.len()) as f64 }
}

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::testing;

    use super::*;

    #[test]
    fn cases() {
        assert!(testing::run_cases::<MyReward>("cases").unwrap() > 0);
    }

    #[test]
    fn words_count_as_often_as_both_have_them() {
        assert_eq!(f1(&words("a a"), &words("A b.")), 0.5);
        assert_eq!(f1(&[], &[]), 0.0);
    }
}
