//! String prompts as turns of a chat.

use std::borrow::Cow;

use perennial_types::{Body, Content, Message, Role};

/// A body as a chat model reads it: a prompt that is a string is one user turn, and what answers it an assistant's. Text
/// without a prompt, or with a blank one, stays as it is: nobody asks there.
pub(super) fn body(body: &Body) -> Cow<'_, Body> {
    let read = match body {
        Body::PromptCompletion { prompt, completion, inputs } if is_asked(prompt) => Body::PromptCompletion {
            prompt: as_content(prompt, Role::User),
            completion: as_content(completion, Role::Assistant),
            inputs: inputs.clone(),
        },
        Body::Preference { prompt: Some(prompt), chosen, rejected, inputs } if is_asked(prompt) => Body::Preference {
            prompt: Some(as_content(prompt, Role::User)),
            chosen: as_content(chosen, Role::Assistant),
            rejected: as_content(rejected, Role::Assistant),
            inputs: inputs.clone(),
        },
        Body::PromptOnly { prompt, inputs } if is_asked(prompt) => {
            Body::PromptOnly { prompt: as_content(prompt, Role::User), inputs: inputs.clone() }
        }
        body => return Cow::Borrowed(body),
    };
    Cow::Owned(read)
}

/// A prompt as a chat model is asked it.
pub(super) fn prompt(prompt: &Content) -> Cow<'_, Content> {
    if is_asked(prompt) { Cow::Owned(as_content(prompt, Role::User)) } else { Cow::Borrowed(prompt) }
}

/// Turns as they are, and a text as one turn of this speaker.
pub(super) fn as_messages(content: &Content, speaker: Role) -> Vec<Message> {
    match content {
        Content::Text(text) => vec![Message::new(speaker, text.as_str())],
        Content::Messages(messages) => messages.clone(),
    }
}

fn as_content(content: &Content, speaker: Role) -> Content {
    Content::Messages(as_messages(content, speaker))
}

/// Whether it is a string that asks something.
fn is_asked(prompt: &Content) -> bool {
    matches!(prompt, Content::Text(text) if !text.trim().is_empty())
}
