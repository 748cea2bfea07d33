use super::{Dialect, Object, fields, inputs};
use crate::{Body, Content, Role, RowError};

/// TRL's conversations and OpenAI's files for fine-tuning. One that nobody answered in is a prompt.
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
        let inputs = inputs::take(row)?;
        if messages.iter().any(|message| message.role == Role::Assistant) {
            return Ok(Body::Messages { messages, inputs });
        }
        Ok(Body::PromptOnly { prompt: Content::Messages(messages), inputs })
    }
}
