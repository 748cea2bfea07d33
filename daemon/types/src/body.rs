use serde::{Deserialize, Serialize};

use crate::{
    Content, Message, Prompt, TemplateInputs,
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
        /// Without any template.
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
    /// What it can teach.
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

#[cfg(test)]
mod tests {
    use crate::Row;

    #[test]
    fn question_ends_before_the_last_assistant_turn() {
        let row = Row::parse(
            r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                {"role": "user", "content": "c"}, {"role": "assistant", "content": "d"}]}"#,
        );
        let (question, answer) = row.unwrap().body.question_and_answer().unwrap();
        assert_eq!(question.text(), "a\nb\nc");
        assert_eq!(answer, "d");
    }
}
