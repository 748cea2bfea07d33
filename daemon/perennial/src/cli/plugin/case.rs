use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use perennial_reward::{self as reward, Task};
use perennial_types::{Message, Role};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::expect::Expect;

/// What a plugin must say of some completions of a prompt: a JSON file, which the SDKs' unit tests read too.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// The plugin's configuration.
    #[serde(default)]
    pub(super) config: Map<String, Value>,
    prompt: Prompt,
    reference: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    metadata: Map<String, Value>,
    /// Judged as one group.
    pub(super) completions: Vec<Completion>,
}

/// Text is one message of the user.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Prompt {
    Text(String),
    Messages(Vec<Message>),
}

/// A completion, and what the plugin must say of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Completion {
    /// What the model wrote.
    pub(super) text: String,
    /// What must come of it.
    pub(super) expect: Expect,
}

impl Case {
    /// The cases of a folder, `*.json`, by file name and in its order.
    ///
    /// # Errors
    /// Where there are none, or one cannot be read.
    pub(super) fn read_all(folder: &Path) -> anyhow::Result<Vec<(String, Self)>> {
        let entries = fs::read_dir(folder).with_context(|| format!("no cases: {}", folder.display()))?;
        let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        ensure!(!files.is_empty(), "no cases: {} holds no *.json", folder.display());
        files.iter().map(|file| Self::read(file)).collect()
    }

    fn read(file: &Path) -> anyhow::Result<(String, Self)> {
        let parsed = fs::read(file).map_err(anyhow::Error::from).and_then(|bytes| {
            let case: Self = serde_json::from_slice(&bytes)?;
            ensure!(!case.completions.is_empty(), "it has no completions");
            Ok(case)
        });
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok((name, parsed.with_context(|| file.display().to_string())?))
    }

    /// What the plugin is asked.
    pub(super) fn task(&self) -> Task {
        let prompt = match &self.prompt {
            Prompt::Text(text) => vec![Message::new(Role::User, text.clone())],
            Prompt::Messages(messages) => messages.clone(),
        };
        let samples = self.completions.iter().enumerate();
        let samples =
            samples.map(|(at, completion)| reward::Completion { id: at.to_string(), text: completion.text.clone() });
        Task {
            prompt,
            reference: self.reference.clone(),
            labels: self.labels.clone().into_iter().collect(),
            metadata: self.metadata.clone(),
            samples: samples.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_read_with_all_that_a_row_has() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"config": {"a": 1}, "prompt": [{"role": "system", "content": "s"}], "reference": "r",
            "labels": {"l": "v"}, "metadata": {"m": [1]}, "completions": [{"text": "t", "expect": {"reward": 1}}]}"#;
        fs::write(folder.path().join("b.json"), text).unwrap();
        let bare = r#"{"prompt": "p", "completions": [{"text": "t", "expect": {"outcome": "abstained"}}]}"#;
        fs::write(folder.path().join("a.json"), bare).unwrap();
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        let cases = Case::read_all(folder.path()).unwrap();
        assert_eq!(cases.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a.json", "b.json"]);
        assert_eq!(cases[0].1.task().prompt, [Message::new(Role::User, "p")]);
        let task = cases[1].1.task();
        assert_eq!(task.prompt, [Message::new(Role::System, "s")]);
        assert_eq!(task.labels, [("l".to_owned(), "v".to_owned())]);
        assert_eq!((task.reference.as_deref(), task.samples.len()), (Some("r"), 1));
    }

    #[test]
    fn what_no_case_can_say_is_refused_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Case::read_all(folder.path()).unwrap_err().to_string().contains("holds no *.json"));
        for (text, what) in [
            (r#"{"prompt": "p", "completions": []}"#, "no completions"),
            (r#"{"prompt": "p", "completions": [{"text": "t", "expect": {"rewards": 1}}]}"#, "rewards"),
            (r#"{"prompt": "p", "completions": [{"text": "t", "expect": {"outcome": "timed_out"}}]}"#, "timed_out"),
            (r#"{"prompts": "p"}"#, "prompts"),
        ] {
            fs::write(folder.path().join("case.json"), text).unwrap();
            let error = format!("{:#}", Case::read_all(folder.path()).unwrap_err());
            assert!(error.contains("case.json") && error.contains(what), "{error}");
        }
    }
}
