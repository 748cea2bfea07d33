//! Reward plugin: whether the answer is in the wanted language. See the README.

mod codes;
mod passages;

use perennial_reward_sdk::{export, prelude::*, text::Extract};
use whatlang::{Detector, Lang};

use crate::{
    codes::language,
    passages::{letters, passages, without_code},
};

/// The keys of the configuration.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where in the completion the answer is.
    extract: Extract,
    /// The wanted languages, as ISO 639-1 or 639-3 codes. Where there are none, and no `label`, the language of the user's
    /// last message is wanted.
    languages: Vec<String>,
    /// The name of the row's label that holds the code of the wanted language.
    label: Option<String>,
    /// The languages that may occur at all, as codes: fewer make short answers surer. All where it is empty.
    candidates: Vec<String>,
    /// Answers with fewer letters get no score: their language cannot be told.
    letters_min: usize,
    /// Blocks fenced by three backticks are left out.
    ignore_code: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            extract: Extract::Whole,
            languages: Vec::new(),
            label: None,
            candidates: Vec::new(),
            letters_min: 20,
            ignore_code: true,
        }
    }
}

/// Rewards the share of the answer that is in a wanted language.
pub struct Language {
    config: Config,
    wanted: Vec<Lang>,
    detector: Detector,
}

impl Reward for Language {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("language", env!("CARGO_PKG_VERSION"), "Whether the answer is in the wanted language.").part(
            "confidence",
            0.0..=1.0,
            "how sure the detection is, on average over the answer",
        )
    }

    fn new(config: Config) -> Result<Self, Fault> {
        if config.label.is_some() && !config.languages.is_empty() {
            return Err(Fault::bad_config("both `languages` and `label` are given: which one says what is wanted?"));
        }
        let wanted = read("languages", &config.languages)?;
        let candidates = read("candidates", &config.candidates)?;
        if let Some(language) = wanted.iter().find(|wanted| !candidates.is_empty() && !candidates.contains(wanted)) {
            return Err(Fault::bad_config(format!("{language} is wanted, but not among the `candidates`")));
        }
        let detector = if candidates.is_empty() { Detector::new() } else { Detector::with_allowlist(candidates) };
        Ok(Self { config, wanted, detector })
    }

    fn score(&self, task: &Task, completion: &str) -> Result<Verdict, Fault> {
        let Some(wanted) = self.wanted(task)? else {
            return Ok(Verdict::abstain("the row does not say which language is wanted"));
        };
        let Some(answer) = self.config.extract.find(completion) else {
            return Ok(Verdict::scored(0.0).reason(self.config.extract.missing()));
        };
        let answer = if self.config.ignore_code { without_code(answer) } else { answer.to_owned() };
        if letters(&answer) < self.config.letters_min {
            return Ok(Verdict::abstain("the answer is too short to tell its language"));
        }
        Ok(self.judge(&answer, &wanted))
    }
}

impl Language {
    fn wanted(&self, task: &Task) -> Result<Option<Vec<Lang>>, Fault> {
        if !self.wanted.is_empty() {
            return Ok(Some(self.wanted.clone()));
        }
        let Some(label) = &self.config.label else {
            let question = without_code(task.question());
            let is_enough = letters(&question) >= self.config.letters_min;
            return Ok(self.detector.detect_lang(&question).filter(|_| is_enough).map(|language| vec![language]));
        };
        let Some(code) = task.label(label) else { return Ok(None) };
        match language(code) {
            Some(language) => Ok(Some(vec![language])),
            None => Err(Fault::bad_input(format!("the label `{label}` is {code:?}, no known language code"))),
        }
    }

    fn judge(&self, answer: &str, wanted: &[Lang]) -> Verdict {
        let (mut total, mut right, mut confidence) = (0.0, 0.0, 0.0);
        let mut others = Vec::new();
        for passage in passages(answer) {
            let weight = letters(passage) as f64;
            total += weight;
            let Some(found) = self.detector.detect(passage) else { continue };
            confidence += weight * found.confidence();
            if wanted.contains(&found.lang()) {
                right += weight;
            } else if !others.contains(&found.lang()) {
                others.push(found.lang());
            }
        }
        // A text whose letters all count for nothing is in no language.
        let share = |part: f64| if total > 0.0 { (part / total).clamp(0.0, 1.0) } else { 0.0 };
        let verdict = Verdict::scored(share(right)).part("confidence", share(confidence));
        if others.is_empty() {
            return verdict;
        }
        let others: Vec<&str> = others.iter().map(|language| language.eng_name()).collect();
        verdict.reason(format!("also in {}", others.join(", ")))
    }
}

fn read(key: &str, codes: &[String]) -> Result<Vec<Lang>, Fault> {
    let known = |code: &String| {
        language(code).ok_or_else(|| {
            Fault::bad_config(format!("`{key}`: {code:?} is no known language code; such as \"de\" or \"deu\""))
        })
    };
    codes.iter().map(known).collect()
}

export!(Language);

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::testing::{self, CaseError};

    use super::*;

    #[test]
    fn cases() -> Result<(), CaseError> {
        testing::run_cases::<Language>("cases").map(drop)
    }
}
