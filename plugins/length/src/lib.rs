//! Reward plugin: whether the answer is as long as wanted, with soft edges. See the README.

mod measure;

use perennial_reward_sdk::{export, prelude::*, text::Extract};

use crate::measure::Unit;

/// The longest length that is told as a part.
const LENGTH_MAX: f64 = 1e9;

/// The keys of the configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where in the completion the answer is.
    extract: Extract,
    /// What is counted.
    unit: Unit,
    /// The least length that gets the full reward.
    #[schemars(range(min = 0.0))]
    min: f64,
    /// The greatest length that gets the full reward; none where it is left out.
    #[schemars(range(min = 0.0))]
    max: Option<f64>,
    /// How far below `min` the reward falls to 0, on a straight line; 0 is a hard edge.
    #[schemars(range(min = 0.0))]
    edge_below: f64,
    /// How far above `max` the reward falls to 0, on a straight line; 0 is a hard edge.
    #[schemars(range(min = 0.0))]
    edge_above: f64,
    /// Lengths are shares of the reference's length: `min = 0.5` is half as long as the reference.
    relative: bool,
}

/// Rewards lengths inside the band with 1, beyond its edges with 0.
pub struct Length(Config);

impl Reward for Length {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("length", env!("CARGO_PKG_VERSION"), "Whether the answer is as long as wanted.")
            .part("length", 0.0..=LENGTH_MAX, "the length, in the configured unit")
            .part("inside", 0.0..=1.0, "whether the length is inside the band")
    }

    fn new(config: Config) -> Result<Self, Fault> {
        match config.max {
            Some(max) if max < config.min => {
                Err(Fault::bad_config(format!("`max` ({max}) is less than `min` ({}): no length fits", config.min)))
            }
            None if config.min == 0.0 => Err(Fault::bad_config("neither `min` nor `max` is given: any length fits")),
            _ => Ok(Self(config)),
        }
    }

    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault> {
        // An answer that is not there is an answer of no length.
        let answer = self.0.extract.find(completion).unwrap_or_default();
        let count = self.0.unit.count(answer) as f64;
        let length = if self.0.relative {
            match task.reference.as_deref().map(|reference| self.0.unit.count(reference)) {
                None | Some(0) => return Ok(Verdict::abstain("the row has no reference to compare the length with")),
                Some(reference) => count / reference as f64,
            }
        } else {
            count
        };
        let reward = self.reward(length);
        let verdict = Verdict::scored(reward)
            .part("length", count.min(LENGTH_MAX))
            .part("inside", f64::from(u8::from(reward == 1.0)));
        let unit = self.0.unit.name();
        Ok(if reward == 1.0 { verdict } else { verdict.reason(format!("{count} {unit}, {}", self.band())) })
    }
}

impl Length {
    fn reward(&self, length: f64) -> f64 {
        let Config { min, max, edge_below, edge_above, .. } = self.0;
        let (off, edge) = match max {
            _ if length < min => (min - length, edge_below),
            Some(max) if length > max => (length - max, edge_above),
            _ => return 1.0,
        };
        if off >= edge { 0.0 } else { 1.0 - off / edge }
    }

    fn band(&self) -> String {
        let of = if self.0.relative { " times the reference" } else { "" };
        match self.0.max {
            Some(max) => format!("wanted {} to {max}{of}", self.0.min),
            None => format!("wanted at least {}{of}", self.0.min),
        }
    }
}

export!(Length);

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
        testing::run_cases::<Length>("cases").map(drop)
    }

    proptest! {
        #[test]
        fn reward_falls_with_the_distance_from_the_band(near in 0usize..60, off in 0usize..20) {
            let config = json!({"unit": "chars", "min": 20, "max": 40, "edge_below": 15, "edge_above": 30});
            let score = |length: usize| reward::<Length>(config.clone(), &task("p"), "x".repeat(length));
            let far = if near < 30 { near.saturating_sub(off) } else { near + off };
            prop_assert!(score(far) <= score(near));
        }
    }
}
