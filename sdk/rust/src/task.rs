use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Fault;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions that hold for the whole conversation.
    System,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool the model called.
    Tool,
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// Plain text, without chat-template markers.
    pub content: String,
}

/// One completion of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Names the sample in logs. It says nothing about quality and must not influence the score.
    pub id: String,
    /// What the model wrote, decoded, without its end-of-turn token.
    pub completion: String,
}

/// One prompt with its group of completions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The conversation up to the completion; the last message is usually the user's.
    pub prompt: Vec<Message>,
    /// The answer that the row came with, where it came with one.
    pub reference: Option<String>,
    /// The row's labels as name and value, sorted by name.
    pub labels: Vec<(String, String)>,
    /// The row's metadata: one JSON object, `{}` where there is none. See [`Task::metadata`].
    pub metadata_json: String,
    /// The completions to judge, at least one.
    pub samples: Vec<Sample>,
}

impl Task {
    /// What the user asked last; empty where no user spoke.
    pub fn question(&self) -> &str {
        let last = self.prompt.iter().rev().find(|message| message.role == Role::User);
        last.map_or("", |message| &message.content)
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| label == name).map(|(_, value)| value.as_str())
    }

    /// All answers that count as right: the reference, and what a field of the metadata lists as alternatives, where one
    /// is named: a text or an array of texts. Values other than texts count as they are written in JSON.
    ///
    /// # Errors
    /// [`Fault::BadInput`] where the metadata is not an object.
    pub fn right_answers(&self, alternatives: Option<&str>) -> Result<Vec<String>, Fault> {
        let mut answers: Vec<String> = self.reference.iter().cloned().collect();
        if let Some(field) = alternatives {
            match self.metadata::<Map<String, Value>>()?.remove(field) {
                Some(Value::Array(values)) => answers.extend(values.into_iter().map(as_text)),
                Some(Value::Null) | None => {}
                Some(value) => answers.push(as_text(value)),
            }
        }
        Ok(answers)
    }

    /// The row's metadata as a type of the author's, or as [`serde_json::Value`].
    ///
    /// # Errors
    /// [`Fault::BadInput`] where the metadata is not of that type.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_str(&self.metadata_json)
            .map_err(|error| Fault::bad_input(format!("the row's metadata cannot be read: {error}")))
    }
}

fn as_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::task;

    #[test]
    fn right_answers_are_the_reference_and_its_alternatives() {
        let task = task("q").reference("a").with_metadata(&json!({"more": ["b", 3], "one": "c", "none": null}));
        assert_eq!(task.right_answers(None).unwrap(), ["a"]);
        assert_eq!(task.right_answers(Some("more")).unwrap(), ["a", "b", "3"]);
        assert_eq!(task.right_answers(Some("one")).unwrap(), ["a", "c"]);
        assert_eq!(task.right_answers(Some("none")).unwrap(), ["a"]);
        assert_eq!(task.right_answers(Some("missing")).unwrap(), ["a"]);
    }

    #[test]
    fn question_is_what_the_user_said_last() {
        let turns = [(Role::User, "first"), (Role::Assistant, "x"), (Role::User, "second"), (Role::Tool, "y")];
        let task = task("").messages(turns).labelled("kind", "k");
        assert_eq!((task.question(), task.label("kind"), task.label("other")), ("second", Some("k"), None));
    }
}
