//! What a template does with inputs that templates treat differently: asked of it, once, by small conversations.

use perennial_types::{Message, Role, TemplateInputs};
use serde_json::{Map, Value, json};

use super::{ChatTemplate, Conversation, habits::Habits};
use crate::tokenize::{SpecialTokens, jinja::Program};

const ARGUMENTS: &str = r#"{"probe":"of arguments"}"#;
const PART: &str = "probe of parts";

impl Habits {
    pub(super) fn of(program: Program, special: &SpecialTokens) -> Self {
        let render = |messages: &[Value]| {
            let messages: Vec<Message> = messages.iter().filter_map(message).collect();
            let conversation =
                Conversation::new(program, special, &Self::default(), &messages, &TemplateInputs::default(), None);
            conversation.render(messages.len(), false).ok().map(|rendered| rendered.text)
        };
        let question = json!({"role": "user", "content": "q"});
        let parts = render(&[json!({"role": "user", "content": [{"type": "text", "text": PART}]})]);
        let call = json!({"id": "call00001", "type": "function", "function": {"name": "f", "arguments": ARGUMENTS}});
        let calls = render(&[question, json!({"role": "assistant", "content": "", "tool_calls": [call]})]);
        Self {
            // A template that reads a text writes the list as Python does, with the names of its fields.
            reads_parts: parts.is_some_and(|text| text.contains(PART) && !text.contains("'text'")),
            reads_string_arguments: calls.is_some_and(|text| text.contains(ARGUMENTS)),
        }
    }
}

fn message(fields: &Value) -> Option<Message> {
    let fields: Map<String, Value> = fields.as_object()?.clone();
    Message::from_fields(fields).ok()
}

/// Why the template cannot render a conversation with this role in it.
pub(super) fn objection_to(template: &ChatTemplate, role: Role) -> Option<String> {
    let turn = Message::new(role, "probe");
    let question = Message::new(Role::User, "q");
    let answer = Message::new(Role::Assistant, "a");
    let conversation = match role {
        Role::System => vec![turn, question, answer],
        Role::Tool => vec![question, answer, turn],
        Role::User | Role::Assistant => vec![question, answer],
    };
    template.render(&conversation, None, false).err().map(|error| error.to_string())
}
