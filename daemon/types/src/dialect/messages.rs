use super::{Dialect, Object, fields, inputs};
use crate::{Body, Content, Message, Role, RowError, TemplateInputs};

/// TRL's conversations and OpenAI's files for fine-tuning.
pub(super) struct Messages;

impl Dialect for Messages {
    fn name(&self) -> &'static str {
        "messages (`messages`)"
    }

    fn claims(&self, row: &Object) -> bool {
        fields::has(row, "messages")
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let messages = fields::take_messages(row, "messages")?;
        Ok(conversation(messages, inputs::take(row)?))
    }
}

/// What a conversation teaches: one that nobody answered in is a prompt.
pub(super) fn conversation(messages: Vec<Message>, inputs: TemplateInputs) -> Body {
    if messages.iter().any(|message| message.role == Role::Assistant) {
        return Body::Messages { messages, inputs };
    }
    Body::PromptOnly { prompt: Content::Messages(messages), inputs }
}
