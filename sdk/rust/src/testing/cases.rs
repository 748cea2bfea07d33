use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::score;
use crate::{Fault, GroupReward, Message, Role, Task, Verdict};

/// How far a reward or part may be off where a case names no tolerance.
const TOLERANCE: f64 = 1e-9;

/// One case file: a task, and what the plugin is expected to say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    config: Map<String, Value>,
    prompt: Prompt,
    reference: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    completions: Vec<Completion>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Messages(Vec<Turn>),
}

#[derive(Deserialize)]
struct Turn {
    role: RoleName,
    content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    System,
    User,
    Assistant,
    Tool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Completion {
    text: String,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    #[serde(default)]
    outcome: Outcome,
    reward: Option<f64>,
    tolerance: Option<f64>,
    #[serde(default)]
    parts: BTreeMap<String, f64>,
    reason_contains: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    #[default]
    Scored,
    Abstained,
    Faulted,
}

/// What did not come out as the cases expect, one line each. `Debug` prints the lines too, so that a test that returns
/// it shows them readably.
pub struct CaseError(Vec<String>);

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl fmt::Debug for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for CaseError {}

/// Runs every `*.json` in a folder natively, in the order of their names, and returns how many completions were judged.
/// A relative folder is taken from the crate's root, where cargo runs tests.
///
/// The completions of a file are one group. Where one is expected to fault, all are.
///
/// # Errors
/// [`CaseError`] with a line for everything that differs; also where the folder has no case or a file cannot be read.
pub fn run_cases<R: GroupReward>(folder: impl AsRef<Path>) -> Result<usize, CaseError> {
    let folder = folder.as_ref();
    let files = files(folder).map_err(|error| CaseError(vec![format!("{}: {error}", folder.display())]))?;
    if files.is_empty() {
        return Err(CaseError(vec![format!("{}: no case files (*.json) in it", folder.display())]));
    }
    let mut judged = 0;
    let mut differences = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match read(&file) {
            Err(error) => differences.push(format!("{name}: {error}")),
            Ok(case) => {
                judged += case.completions.len();
                differences.extend(run::<R>(&case).into_iter().map(|difference| format!("{name}: {difference}")));
            }
        }
    }
    if differences.is_empty() { Ok(judged) } else { Err(CaseError(differences)) }
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let paths: std::io::Result<Vec<PathBuf>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut files: Vec<PathBuf> = paths?.into_iter().filter(|path| path.extension() == Some("json".as_ref())).collect();
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<Case, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn run<R: GroupReward>(case: &Case) -> Vec<String> {
    let result = score::<R>(Value::Object(case.config.clone()), &case.task());
    let verdict_of = |at: usize| result.as_ref().map(|verdicts| &verdicts[at]);
    let completions = case.completions.iter().enumerate();
    let differences = completions.flat_map(|(at, completion)| {
        let shown: String = completion.text.chars().take(40).collect();
        let found = completion.expect.differences(verdict_of(at));
        found.into_iter().map(move |difference| format!("completion {at} {shown:?}: {difference}"))
    });
    differences.collect()
}

impl Case {
    fn task(&self) -> Task {
        let prompt = match &self.prompt {
            Prompt::Text(text) => vec![Message { role: Role::User, content: text.clone() }],
            Prompt::Messages(turns) => turns.iter().map(Turn::message).collect(),
        };
        let task = Task {
            prompt,
            reference: self.reference.clone(),
            labels: self.labels.clone().into_iter().collect(),
            metadata_json: Value::Object(self.metadata.clone()).to_string(),
            samples: Vec::new(),
        };
        task.completions(self.completions.iter().map(|completion| completion.text.as_str()))
    }
}

impl Turn {
    fn message(&self) -> Message {
        let role = match self.role {
            RoleName::System => Role::System,
            RoleName::User => Role::User,
            RoleName::Assistant => Role::Assistant,
            RoleName::Tool => Role::Tool,
        };
        Message { role, content: self.content.clone() }
    }
}

impl Expect {
    fn differences(&self, result: Result<&Verdict, &Fault>) -> Vec<String> {
        let (outcome, reason) = match result {
            Err(fault) => (Outcome::Faulted, Some(fault.to_string())),
            Ok(Verdict::Abstained(reason)) => (Outcome::Abstained, Some(reason.clone())),
            Ok(Verdict::Scored(score)) => (Outcome::Scored, score.reason.clone()),
        };
        if outcome != self.outcome {
            return vec![format!("expected {:?}, found {outcome:?} ({})", self.outcome, reason.unwrap_or_default())];
        }
        let mut differences = Vec::new();
        let reason = reason.unwrap_or_default();
        if let Some(text) = &self.reason_contains
            && !reason.contains(text.as_str())
        {
            differences.push(format!("expected a reason with {text:?}, found {reason:?}"));
        }
        let Ok(Verdict::Scored(score)) = result else { return differences };
        let tolerance = self.tolerance.unwrap_or(TOLERANCE);
        let mut compare = |what: &str, expected: f64, found: Option<f64>| match found {
            Some(found) if (found - expected).abs() <= tolerance => {}
            Some(found) => differences.push(format!("expected {what} {expected}, found {found} ({reason})")),
            None => differences.push(format!("expected {what} {expected}, found none")),
        };
        if let Some(expected) = self.reward {
            compare("reward", expected, Some(score.reward));
        }
        for (name, expected) in &self.parts {
            let found = score.parts.iter().find(|(part, _)| part == name).map(|(_, value)| *value);
            compare(&format!("part {name}"), *expected, found);
        }
        differences
    }
}
