use perennial_types::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One prompt with its group of completions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The conversation up to the completion.
    pub prompt: Vec<Message>,
    /// The answer that the row came with.
    #[serde(default)]
    pub reference: Option<String>,
    /// Name and value; handed to the plugin sorted by name.
    #[serde(default)]
    pub labels: Vec<(String, String)>,
    /// The row's metadata.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// The completions to judge.
    pub samples: Vec<Completion>,
}

/// One completion of a task's prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// Names the completion in faults and reports.
    pub id: String,
    /// What the model wrote.
    pub text: String,
}
