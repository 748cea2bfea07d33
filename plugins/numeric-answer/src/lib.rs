//! Reward plugin: whether the number in the answer is the reference's, within a tolerance. See the README.

mod find;
mod number;
mod plain;

use perennial_reward_sdk::{export, prelude::*, text::Extract};

use crate::{
    find::{Place, find},
    number::{Decimal, Number},
};

/// What a percent sign means.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Percent {
    /// Nothing, like any unit: 12% is 12.
    #[default]
    Unit,
    /// Hundredths: 12% is 0.12.
    Hundredths,
}

/// The keys of the configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where in the completion the answer is.
    extract: Extract,
    /// Where in that the number is: the first place that has one.
    places: Vec<Place>,
    /// Which sign stands before the decimals.
    decimal: Decimal,
    /// What a percent sign means.
    percent: Percent,
    /// How far the number may be off, in its own unit.
    #[schemars(range(min = 0.0))]
    tolerance_absolute: f64,
    /// How far the number may be off, as a share of the reference. The greater of both tolerances counts.
    #[schemars(range(min = 0.0))]
    tolerance_relative: f64,
    /// The share of the reward that is given for marking a number as the answer (`####`, `\boxed{}`, "the answer is"),
    /// right or wrong.
    #[schemars(range(min = 0.0, max = 1.0))]
    marked_share: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            extract: Extract::Whole,
            places: vec![Place::Hashes, Place::Boxed, Place::Answer, Place::Last],
            decimal: Decimal::default(),
            percent: Percent::default(),
            tolerance_absolute: 0.0,
            tolerance_relative: 1e-6,
            marked_share: 0.0,
        }
    }
}

/// Rewards the right number with 1, any other with 0, but for the share that is given for marking one.
pub struct NumericAnswer(Config);

impl Reward for NumericAnswer {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("numeric-answer", env!("CARGO_PKG_VERSION"), "Whether the number in the answer is right.")
            .part("correct", 0.0..=1.0, "whether the number is the reference's")
            .part("found", 0.0..=1.0, "whether there is a number at all")
            .part("marked", 0.0..=1.0, "whether a number is marked as the answer")
    }

    fn new(config: Config) -> Result<Self, Fault> {
        if config.places.is_empty() {
            return Err(Fault::bad_config("`places` is empty: name at least one, such as \"last\""));
        }
        Ok(Self(config))
    }

    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let Some(reference) = &task.reference else { return Ok(Verdict::abstain("the row has no reference")) };
        let Some((expected, _)) = self.find(reference) else {
            return Ok(Verdict::abstain("the reference has no number"));
        };
        let Some((found, place)) = self.0.extract.find(completion).and_then(|answer| self.find(answer)) else {
            return Ok(self.verdict(false, false, false).reason("no number in the answer"));
        };
        let (found, expected) = (self.value(found), self.value(expected));
        let slack = self.0.tolerance_absolute.max(self.0.tolerance_relative * expected.abs());
        let correct = (found - expected).abs() <= slack;
        Ok(self.verdict(correct, true, place.marks()).reason(format!("found {found}, expected {expected}")))
    }
}

impl NumericAnswer {
    fn find(&self, text: &str) -> Option<(Number, Place)> {
        find(text, &self.0.places, self.0.decimal)
    }

    fn value(&self, number: Number) -> f64 {
        match self.0.percent {
            Percent::Hundredths if number.percent => number.value / 100.0,
            _ => number.value,
        }
    }

    fn verdict(&self, correct: bool, found: bool, marked: bool) -> Verdict {
        let [correct, found, marked] = [correct, found, marked].map(|flag| f64::from(u8::from(flag)));
        let share = self.0.marked_share;
        Verdict::scored((1.0 - share) * correct + share * marked)
            .part("correct", correct)
            .part("found", found)
            .part("marked", marked)
    }
}

export!(NumericAnswer);

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::testing::{self, CaseError};

    use super::*;

    #[test]
    fn cases() -> Result<(), CaseError> {
        testing::run_cases::<NumericAnswer>("cases").map(drop)
    }
}
