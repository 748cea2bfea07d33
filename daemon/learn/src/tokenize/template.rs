use perennial_types::Message;
use serde_json::Value;

use super::{EncodeError, SpecialTokens};

/// A model's own chat template (Jinja), or the absence of one. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct ChatTemplate;

impl ChatTemplate {
    /// A template and the special tokens that it may name. `None` for a model without one: every use is then
    /// [`EncodeError::NoChatTemplate`].
    pub fn new(source: Option<&str>, special: &SpecialTokens) -> Self {
        let _ = (source, special);
        todo!()
    }

    /// The template as it was read.
    pub fn source(&self) -> Option<&str> {
        todo!()
    }

    /// The conversation as text; with `add_generation_prompt`, up to where the assistant begins to speak.
    ///
    /// # Errors
    /// [`EncodeError::NoChatTemplate`], or [`EncodeError::Template`] where the template refuses the conversation.
    pub fn render(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        add_generation_prompt: bool,
    ) -> Result<String, EncodeError> {
        let _ = (messages, tools, add_generation_prompt);
        todo!()
    }
}
