use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who speaks in a chat turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that stand above the conversation (OpenAI's `developer` is read as this).
    #[serde(alias = "developer")]
    System,
    /// The person or program that asks.
    User,
    /// The model: the turns that are trained on.
    Assistant,
    /// The result of a tool call (OpenAI's former `function` is read as this).
    #[serde(alias = "function")]
    Tool,
}

impl Role {
    /// The name that chat templates know.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a chat, with the fields that chat templates read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; empty where an assistant turn only calls tools.
    pub content: String,
    /// The speaker's name, where there are several in one role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tools that an assistant turn calls, as OpenAI writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Value>,
    /// The call that a tool turn answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// OpenAI's per-turn weight: an assistant turn with weight 0 is read, but not trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<f32>,
}

impl Message {
    /// A plain turn.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), name: None, tool_calls: None, tool_call_id: None, weight: None }
    }

    /// Whether the loss looks at this turn: an assistant's, unless its weight is zero.
    pub fn is_trained_on(&self) -> bool {
        self.role == Role::Assistant && self.weight != Some(0.0)
    }
}

/// A prompt or a completion: plain text that is tokenized as it stands, or turns for the model's chat template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// Plain text, without a chat template.
    Text(String),
    /// Turns of a chat.
    Messages(Vec<Message>),
}

impl Content {
    /// What is said, without who says it: the text itself, or the contents of the turns, a line break between them.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Messages(messages) => {
                messages.iter().map(|message| message.content.as_str()).collect::<Vec<_>>().join("\n")
            }
        }
    }
}
