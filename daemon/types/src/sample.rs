use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    Content, Domain, Fingerprinter, Message, Prompt, Row, SampleId, TemplateInputs,
    message::{before_last_answer, text_of},
};

/// What a sample teaches, in one of TRL's dataset shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Body {
    /// A conversation; its assistant turns are trained on.
    Messages {
        /// The turns, at least one of them an assistant's.
        messages: Vec<Message>,
        /// What else the chat template is given.
        #[serde(flatten)]
        inputs: TemplateInputs,
    },
    /// A prompt and the completion to learn.
    PromptCompletion {
        /// What is given.
        prompt: Content,
        /// What is trained on.
        completion: Content,
        /// What else the chat template is given.
        #[serde(flatten)]
        inputs: TemplateInputs,
    },
    /// Plain text; every token is trained on.
    Text {
        /// The text.
        text: String,
    },
    /// Two answers, one preferred.
    Preference {
        /// What both answer; absent where both conversations hold it themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<Content>,
        /// The better answer.
        chosen: Content,
        /// The worse answer.
        rejected: Content,
        /// What else the chat template is given.
        #[serde(flatten)]
        inputs: TemplateInputs,
    },
    /// A prompt alone: for rollouts.
    PromptOnly {
        /// What is given.
        prompt: Content,
        /// What else the chat template is given.
        #[serde(flatten)]
        inputs: TemplateInputs,
    },
}

/// The shape of a [`Body`], as it is named in tables, manifests and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// [`Body::Messages`]
    Messages,
    /// [`Body::PromptCompletion`]
    PromptCompletion,
    /// [`Body::Text`]
    Text,
    /// [`Body::Preference`]
    Preference,
    /// [`Body::PromptOnly`]
    PromptOnly,
}

impl Kind {
    /// Every kind, for tables that must start at zero.
    pub const ALL: [Self; 5] = [Self::Messages, Self::PromptCompletion, Self::Text, Self::Preference, Self::PromptOnly];

    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::PromptCompletion => "prompt_completion",
            Self::Text => "text",
            Self::Preference => "preference",
            Self::PromptOnly => "prompt_only",
        }
    }

    /// Whether supervised fine-tuning can learn from this shape.
    pub fn is_supervised(self) -> bool {
        matches!(self, Self::Messages | Self::PromptCompletion | Self::Text)
    }
}

impl Body {
    /// The shape.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Messages { .. } => Kind::Messages,
            Self::PromptCompletion { .. } => Kind::PromptCompletion,
            Self::Text { .. } => Kind::Text,
            Self::Preference { .. } => Kind::Preference,
            Self::PromptOnly { .. } => Kind::PromptOnly,
        }
    }

    /// What a model is asked and what it should answer: a conversation up to its last assistant turn and that turn, or
    /// prompt and completion. `None` for shapes without one right answer.
    pub fn question_and_answer(&self) -> Option<(Prompt, String)> {
        match self {
            Self::Messages { messages, inputs } => {
                let question = before_last_answer(messages);
                let answer = messages.get(question.len())?.content.clone();
                let prompt = Prompt { content: Content::Messages(question.to_vec()), inputs: inputs.clone() };
                (!question.is_empty()).then_some((prompt, answer))
            }
            Self::PromptCompletion { prompt, completion, inputs } => {
                Some((Prompt { content: prompt.clone(), inputs: inputs.clone() }, completion.text()))
            }
            Self::Text { .. } | Self::Preference { .. } | Self::PromptOnly { .. } => None,
        }
    }

    /// All that is said in the body, for embedding and search: prompts and answers, without roles or markup.
    pub fn text(&self) -> String {
        match self {
            Self::Messages { messages, .. } => text_of(messages),
            Self::PromptCompletion { prompt, completion, .. } => format!("{}\n{}", prompt.text(), completion.text()),
            Self::Text { text } => text.clone(),
            Self::Preference { prompt, chosen, rejected, .. } => {
                let prompt = prompt.as_ref().map(Content::text).unwrap_or_default();
                format!("{prompt}\n{}\n{}", chosen.text(), rejected.text())
            }
            Self::PromptOnly { prompt, .. } => prompt.text(),
        }
    }
}

/// One ingested record in canonical form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The fingerprint of `body` and `reference`.
    pub id: SampleId,
    /// The stratum.
    pub domain: Domain,
    /// What it teaches.
    pub body: Body,
    /// The right answer for suites and rewards, where it is not the completion itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The sender's own id, kept for tracing; two samples may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Whom the data is about, so that it can be found and erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Everything else that the row held.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The name of the file or the channel that it came by.
    pub source: String,
    /// When it was taken in, in milliseconds since the Unix epoch.
    pub arrived_ms: i64,
}

impl Sample {
    /// The sample that a row becomes. `domain` serves where the row names none.
    pub fn from_row(row: Row, domain: &Domain, source: &str, arrived_ms: i64) -> Self {
        Self {
            id: sample_id(&row.body, row.reference.as_deref()),
            domain: row.domain.unwrap_or_else(|| domain.clone()),
            body: row.body,
            reference: row.reference,
            external_id: row.external_id,
            subject: row.subject,
            metadata: row.metadata,
            source: source.to_owned(),
            arrived_ms,
        }
    }
}

fn sample_id(body: &Body, reference: Option<&str>) -> SampleId {
    // A body is structs, strings and JSON values with string keys, which always serialize; `Debug` would too, and
    // differs from sample to sample just as well, so the impossible case still cannot make two samples one.
    let canonical = serde_json::to_vec(body).unwrap_or_else(|_| format!("{body:?}").into_bytes());
    let fingerprint = Fingerprinter::new().part(&canonical).part(reference.unwrap_or_default().as_bytes()).finish();
    SampleId(fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(line: &str) -> Sample {
        Sample::from_row(Row::parse(line).unwrap(), &Domain::default(), "test", 0)
    }

    #[test]
    fn id_depends_on_what_is_taught_alone() {
        let one = sample(r#"{"prompt": "2+2", "completion": "4", "domain": "maths", "id": "x"}"#);
        let same = sample(r#"{"completion": "4", "prompt": "2+2", "extra": [1]}"#);
        let other = sample(r#"{"prompt": "2+2", "completion": "5"}"#);
        let referenced = sample(r#"{"prompt": "2+2", "completion": "4", "reference": "4"}"#);
        assert_eq!(one.id, same.id);
        assert_ne!(one.id, other.id);
        assert_ne!(one.id, referenced.id);
    }

    #[test]
    fn question_ends_before_the_last_assistant_turn() {
        let sample = sample(
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}"#,
        );
        let (question, answer) = sample.body.question_and_answer().unwrap();
        assert_eq!(question.text(), "a\nb\nc");
        assert_eq!(answer, "d");
    }
}
