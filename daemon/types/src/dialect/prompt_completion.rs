use super::{Dialect, Object, fields, inputs};
use crate::{Body, Content, RowError};

/// TRL's prompts with the completion to learn, each a text or messages.
pub(super) struct PromptCompletion;

impl Dialect for PromptCompletion {
    fn name(&self) -> &'static str {
        "prompt and completion (`prompt`, `completion`)"
    }

    fn claims(&self, row: &Object) -> bool {
        fields::has(row, "completion")
    }

    fn read(&self, row: &mut Object) -> Result<Body, RowError> {
        let (prompt, completion) = (fields::take_content(row, "prompt")?, fields::take_content(row, "completion")?);
        if says_nothing(&completion) {
            return Err(fields::nothing_to_learn("completion"));
        }
        let inputs = inputs::take_beside(row, [&prompt, &completion])?;
        Ok(Body::PromptCompletion { prompt, completion, inputs })
    }
}

/// Whether there is nothing to learn: no text, and no turn with anything but one, such as a call of tools.
fn says_nothing(completion: &Content) -> bool {
    match completion {
        Content::Text(text) => text.is_empty(),
        Content::Messages(turns) => {
            turns.iter().all(|turn| turn.content.is_empty() && turn.fields().contains_key("content"))
                && !turns.iter().any(|turn| turn.fields().contains_key("tool_calls"))
        }
    }
}
