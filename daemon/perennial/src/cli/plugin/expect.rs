use std::collections::BTreeMap;

use perennial_reward::{Outcome, OutcomeKind, Score};
use serde::Deserialize;

/// How far a reward or a part may be off where a case names no tolerance.
const TOLERANCE: f64 = 1e-9;

/// What must come of a completion. What is not named may be anything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    #[serde(default)]
    outcome: Expected,
    reward: Option<f64>,
    tolerance: Option<f64>,
    #[serde(default)]
    parts: BTreeMap<String, f64>,
    reason_contains: Option<String>,
}

/// No case can ask for a time-out: whether one comes is up to the machine.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expected {
    #[default]
    Scored,
    Abstained,
    Faulted,
}

impl Expected {
    fn kind(self) -> OutcomeKind {
        match self {
            Self::Scored => OutcomeKind::Scored,
            Self::Abstained => OutcomeKind::Abstained,
            Self::Faulted => OutcomeKind::Faulted,
        }
    }
}

impl Expect {
    /// What is otherwise than expected, each as a sentence.
    pub(super) fn differences(&self, outcome: &Outcome) -> Vec<String> {
        let reason = outcome.message().unwrap_or_default();
        let mut differences = Vec::new();
        let (is, wanted) = (outcome.kind(), self.outcome.kind());
        if is != wanted {
            let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            differences.push(format!("it {}{because}, and {} is expected", is.as_str(), wanted.as_str()));
        }
        if let Some(needle) = self.reason_contains.as_ref().filter(|needle| !reason.contains(needle.as_str())) {
            differences.push(format!("the reason {reason:?} does not contain {needle:?}"));
        }
        if let Outcome::Scored(score) = outcome {
            differences.extend(self.score_differences(score));
        }
        differences
    }

    fn score_differences(&self, score: &Score) -> Vec<String> {
        let is_off = |value: f64, wanted: f64| (value - wanted).abs() > self.tolerance.unwrap_or(TOLERANCE);
        let reward = self.reward.filter(|wanted| is_off(score.reward, *wanted));
        let reward = reward.map(|wanted| format!("the reward is {}, and {wanted} is expected", score.reward));
        let parts = self.parts.iter().filter_map(|(name, wanted)| {
            let value = score.parts.iter().find(|(part, _)| part == name).map(|(_, value)| *value);
            match value {
                Some(value) if is_off(value, *wanted) => {
                    Some(format!("the part {name} is {value}, and {wanted} is expected"))
                }
                None => Some(format!("there is no part {name}, and {wanted} is expected")),
                Some(_) => None,
            }
        });
        reward.into_iter().chain(parts).collect()
    }
}

#[cfg(test)]
mod tests {
    use perennial_reward::{Fault, FaultKind};

    use super::*;

    fn differences(expect: &str, outcome: &Outcome) -> Vec<String> {
        serde_json::from_str::<Expect>(expect).unwrap().differences(outcome)
    }

    fn scored() -> Outcome {
        let parts = vec![("valid".to_owned(), 1.0)];
        Outcome::Scored(Score { reward: 0.5, parts, reason: Some("half of it".to_owned()) })
    }

    #[test]
    fn what_fits_differs_in_nothing() {
        for expect in [
            "{}",
            r#"{"reward": 0.5, "parts": {"valid": 1}, "reason_contains": "half", "outcome": "scored"}"#,
            r#"{"reward": 0.4, "parts": {"valid": 0.9}, "tolerance": 0.11}"#,
        ] {
            assert_eq!(differences(expect, &scored()), Vec::<String>::new(), "{expect}");
        }
        let abstained = Outcome::Abstained("no reference".to_owned());
        let expect = r#"{"outcome": "abstained", "reason_contains": "reference"}"#;
        assert_eq!(differences(expect, &abstained), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_a_sentence() {
        let expect = r#"{"reward": 1, "parts": {"valid": 0, "clean": 1}, "reason_contains": "x"}"#;
        insta::assert_snapshot!(differences(expect, &scored()).join("\n"), @r#"
        the reason "half of it" does not contain "x"
        the reward is 0.5, and 1 is expected
        there is no part clean, and 1 is expected
        the part valid is 1, and 0 is expected
        "#);
        let fault = Fault { kind: FaultKind::Trap, message: "it trapped".to_owned() };
        assert_eq!(differences("{}", &Outcome::Faulted(fault)), ["it faulted (it trapped), and scored is expected"]);
    }
}
