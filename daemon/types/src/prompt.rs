use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::Content;

/// What a chat template is given besides the messages, as `apply_chat_template` of transformers takes it and TRL's
/// datasets hold it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TemplateInputs {
    /// Tools the model is offered: JSON schemas. Never an empty list, which templates tell from none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Value>,
    /// Documents to answer from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<Value>,
    /// Variables of the template's own, such as `enable_thinking`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub chat_template_kwargs: Map<String, Value>,
}

impl TemplateInputs {
    /// Whether there is nothing but the messages.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a model is asked: a text or a conversation, with all that the chat template is given of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct Prompt {
    /// What is said.
    pub content: Content,
    /// What else the template is given.
    pub inputs: TemplateInputs,
}

impl Prompt {
    /// What is said, without who says it. See [`Content::text`].
    pub fn text(&self) -> String {
        self.content.text()
    }
}

impl From<Content> for Prompt {
    fn from(content: Content) -> Self {
        Self { content, inputs: TemplateInputs::default() }
    }
}

/// In JSON, a prompt without anything else is its content alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Content(Content),
    Whole {
        content: Content,
        #[serde(flatten)]
        inputs: Box<TemplateInputs>,
    },
}

impl From<Written> for Prompt {
    fn from(written: Written) -> Self {
        match written {
            Written::Content(content) => content.into(),
            Written::Whole { content, inputs } => Self { content, inputs: *inputs },
        }
    }
}

impl Serialize for Prompt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole<'a> {
            content: &'a Content,
            #[serde(flatten)]
            inputs: &'a TemplateInputs,
        }
        let Self { content, inputs } = self;
        if inputs.is_empty() { content.serialize(serializer) } else { Whole { content, inputs }.serialize(serializer) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_prompt_is_written_with_what_it_has() {
        let content = Content::Text("q".to_owned());
        let plain = Prompt::from(content.clone());
        assert_eq!(serde_json::to_value(&plain).unwrap(), json!("q"));
        let tools = Some(json!([{"name": "f"}]));
        let whole = Prompt { content, inputs: TemplateInputs { tools, ..TemplateInputs::default() } };
        let written = serde_json::to_string(&whole).unwrap();
        assert_eq!(written, r#"{"content":"q","tools":[{"name":"f"}]}"#);
        for prompt in [plain, whole] {
            let written = serde_json::to_string(&prompt).unwrap();
            assert_eq!(serde_json::from_str::<Prompt>(&written).unwrap(), prompt);
        }
    }
}
