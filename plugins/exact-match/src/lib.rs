//! Reward plugin: whether the answer is the reference, but for case, punctuation and the like. See the README.

use perennial_reward_sdk::{
    export,
    prelude::*,
    text::{Extract, Normalize},
};

/// How the answer is compared with a right one, both normalised.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Compare {
    /// They are the same.
    #[default]
    Equal,
    /// The answer begins with it.
    Prefix,
    /// The answer has it somewhere, as whole words.
    Contains,
}

/// The keys of the configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where in the completion the answer is.
    extract: Extract,
    /// What does not matter.
    normalize: Normalize,
    /// How the answer is compared with a right one.
    compare: Compare,
    /// The field of the row's metadata that lists further right answers: a text or an array of texts.
    alternatives: Option<String>,
}

/// Rewards the right answer with 1, any other with 0.
pub struct ExactMatch(Config);

impl Reward for ExactMatch {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("exact-match", env!("CARGO_PKG_VERSION"), "Whether the answer is the reference.").part(
            "answered",
            0.0..=1.0,
            "whether an answer is where it should be",
        )
    }

    fn new(config: Config) -> Result<Self, Fault> {
        Ok(Self(config))
    }

    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let expected = self.expected(task)?;
        if expected.is_empty() {
            return Ok(Verdict::abstain("the row has no reference"));
        }
        let Some(answer) = self.0.extract.find(completion).filter(|answer| !answer.is_empty()) else {
            return Ok(Verdict::scored(0.0).part("answered", 0.0).reason(self.0.extract.missing()));
        };
        let answer = self.0.normalize.apply(answer);
        let right = expected.iter().any(|expected| self.0.compare.holds(&answer, expected));
        Ok(Verdict::scored(f64::from(u8::from(right))).part("answered", 1.0))
    }
}

impl ExactMatch {
    // The right answers, normalised; those of which nothing is left match nothing.
    fn expected(&self, task: &Task) -> Result<Vec<String>, Fault> {
        let answers = task.right_answers(self.0.alternatives.as_deref())?;
        let normal = answers.iter().map(|answer| self.0.normalize.apply(answer));
        Ok(normal.filter(|answer| !answer.is_empty()).collect())
    }
}

impl Compare {
    fn holds(self, answer: &str, expected: &str) -> bool {
        match self {
            Self::Equal => answer == expected,
            Self::Prefix => answer.strip_prefix(expected).is_some_and(|rest| !continues_word(rest.chars().next())),
            Self::Contains => answer.match_indices(expected).any(|(at, _)| {
                !continues_word(answer[..at].chars().next_back())
                    && !continues_word(answer[at + expected.len()..].chars().next())
            }),
        }
    }
}

fn continues_word(neighbour: Option<char>) -> bool {
    neighbour.is_some_and(char::is_alphanumeric)
}

export!(ExactMatch);

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::{
        serde_json::json,
        testing::{self, CaseError, reward, task},
    };

    use super::*;

    #[test]
    fn cases() -> Result<(), CaseError> {
        testing::run_cases::<ExactMatch>("cases").map(drop)
    }

    #[test]
    fn whole_words_alone_count_as_contained() {
        let task = task("q").reference("art");
        let contains = |answer| reward::<ExactMatch>(json!({"compare": "contains"}), &task, answer);
        assert_eq!(contains("a party, then art!"), 1.0);
        assert_eq!(contains("a party"), 0.0);
        assert_eq!(reward::<ExactMatch>(json!({"compare": "prefix"}), &task, "artful"), 0.0);
    }
}
