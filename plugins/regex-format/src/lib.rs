//! Reward plugin: whether the answer has the wanted form. See the README.

mod sections;

use perennial_reward_sdk::{export, prelude::*};
use regex_lite::Regex;

use crate::sections::Sections;

/// How the single checks make a reward.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Combine {
    /// The share of checks that hold: something to climb.
    #[default]
    Share,
    /// 1 where all hold, else 0.
    All,
}

/// The keys of the configuration.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Patterns that the answer must match somewhere; begin and end one with `^` and `$` to match all of it.
    required: Vec<String>,
    /// Patterns that the answer must not match anywhere.
    forbidden: Vec<String>,
    /// Names of sections `<name>…</name>`, each wanted once and not empty, in this order.
    sections: Vec<String>,
    /// Nothing but white space may stand outside the sections.
    only_sections: bool,
    /// How the single checks make a reward.
    combine: Combine,
}

/// Rewards an answer by how many of the checks on its form hold.
pub struct RegexFormat {
    required: Vec<Regex>,
    forbidden: Vec<Regex>,
    sections: Sections,
    combine: Combine,
}

impl Reward for RegexFormat {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("regex-format", env!("CARGO_PKG_VERSION"), "Whether the answer has the wanted form.")
            .part("required", 0.0..=1.0, "the share of required patterns that match")
            .part("forbidden", 0.0..=1.0, "the share of forbidden patterns that do not match")
            .part("sections", 0.0..=1.0, "the share of sections that are there once and not empty")
            .part("order", 0.0..=1.0, "whether all sections are there in the wanted order")
            .part("only_sections", 0.0..=1.0, "whether nothing stands outside the sections")
    }

    fn new(config: Config) -> Result<Self, Fault> {
        let Config { required, forbidden, sections, only_sections, combine } = config;
        if required.is_empty() && forbidden.is_empty() && sections.is_empty() {
            return Err(Fault::bad_config("nothing to check: give `required`, `forbidden` or `sections`"));
        }
        if only_sections && sections.is_empty() {
            return Err(Fault::bad_config("`only_sections` needs `sections`"));
        }
        Ok(Self {
            required: compiled("required", &required)?,
            forbidden: compiled("forbidden", &forbidden)?,
            sections: Sections { names: sections, only: only_sections },
            combine,
        })
    }

    fn score(&self, _task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let mut checks = Vec::new();
        checks.extend(self.required.iter().map(|pattern| Check {
            part: "required",
            holds: pattern.is_match(completion),
            failure: format!("does not match {pattern}"),
        }));
        checks.extend(self.forbidden.iter().map(|pattern| Check {
            part: "forbidden",
            holds: !pattern.is_match(completion),
            failure: format!("matches {pattern}"),
        }));
        checks.extend(self.sections.checks(completion));
        Ok(verdict(&checks, self.combine))
    }
}

/// One question about the form.
struct Check {
    part: &'static str,
    holds: bool,
    failure: String,
}

fn verdict(checks: &[Check], combine: Combine) -> Verdict {
    let share = |checks: &[&Check]| checks.iter().filter(|check| check.holds).count() as f64 / checks.len() as f64;
    let all: Vec<&Check> = checks.iter().collect();
    let reward = match combine {
        Combine::Share => share(&all),
        Combine::All => f64::from(u8::from(checks.iter().all(|check| check.holds))),
    };
    let mut verdict = Verdict::scored(reward);
    for part in ["required", "forbidden", "sections", "order", "only_sections"] {
        let of_part: Vec<&Check> = checks.iter().filter(|check| check.part == part).collect();
        if !of_part.is_empty() {
            verdict = verdict.part(part, share(&of_part));
        }
    }
    let failures: Vec<&str> = checks.iter().filter(|check| !check.holds).map(|check| check.failure.as_str()).collect();
    if failures.is_empty() { verdict } else { verdict.reason(failures.join("; ")) }
}

fn compiled(key: &str, patterns: &[String]) -> Result<Vec<Regex>, Fault> {
    let compile = |(at, pattern): (usize, &String)| {
        Regex::new(pattern)
            .map_err(|error| Fault::bad_config(format!("`{key}[{at}]` is no pattern: {error}: {pattern}")))
    };
    patterns.iter().enumerate().map(compile).collect()
}

export!(RegexFormat);

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::testing::{self, CaseError};

    use super::*;

    #[test]
    fn cases() -> Result<(), CaseError> {
        testing::run_cases::<RegexFormat>("cases").map(drop)
    }
}
