//! Chat templates.

mod conversation;
#[cfg(test)]
mod goldens;
mod habits;
mod probes;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use perennial_types::{Message, TemplateInputs};
use serde_json::Value;

use self::habits::Habits;
use super::{
    EncodeError, SpecialTokens,
    control::ControlTokens,
    jinja::{Fault, Program},
};

pub(super) use conversation::Conversation;

/// A model's own chat template (Jinja), or the absence of one. Cloning is cheap.
///
/// Rendered as `apply_chat_template` of transformers renders it, but for three things. The date of `strftime_now` stands
/// still, so that a sample is the same tokens on any day. The arguments of tool calls that are strings of JSON are given
/// as objects where the template would quote them once more or fail, as vLLM gives them. And a list of text parts is
/// given as one text where the template cannot read the list, as vLLM does.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    source: Option<Arc<str>>,
    special: SpecialTokens,
    program: Option<Result<Program, Fault>>,
    habits: Arc<OnceLock<Habits>>,
    /// What is rendered instead where there are tools.
    for_tools: Option<Arc<Self>>,
    /// Whether a prompt that is a string is a user's turn.
    prompt_as_chat: bool,
}

impl ChatTemplate {
    /// A template and the special tokens that it may name. `None` for a model without one: every use is then
    /// [`EncodeError::NoChatTemplate`].
    pub fn new(source: Option<&str>, special: &SpecialTokens) -> Self {
        let program = source.map(Program::parse);
        Self {
            source: source.map(Arc::from),
            special: special.clone(),
            program,
            habits: Arc::default(),
            for_tools: None,
            prompt_as_chat: false,
        }
    }

    /// With another template for conversations with tools, as transformers uses one that is named `tool_use`.
    #[must_use]
    pub fn for_tools(self, source: Option<&str>) -> Self {
        let for_tools = source.map(|source| Arc::new(Self::new(Some(source), &self.special)));
        Self { for_tools, ..self }
    }

    /// Reading prompts that are strings as one user turn, or as plain text to go on from, which is what it does until told
    /// otherwise.
    #[must_use]
    pub fn with_prompt_as_chat(self, prompt_as_chat: bool) -> Self {
        Self { prompt_as_chat, ..self }
    }

    /// Whether prompts that are strings are read as one user turn: never without a template.
    pub fn reads_prompts_as_chat(&self) -> bool {
        self.prompt_as_chat && self.source.is_some()
    }

    /// The template for conversations with tools as it was read, where it is another one.
    pub fn source_for_tools(&self) -> Option<&str> {
        self.for_tools.as_ref()?.source()
    }

    /// The template as it was read.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The conversation as text; with `add_generation_prompt`, up to where the assistant begins to speak.
    ///
    /// # Errors
    /// [`EncodeError::NoChatTemplate`], [`EncodeError::BrokenTemplate`] where it is no template, or
    /// [`EncodeError::Template`] where it refuses the conversation.
    pub fn render(
        &self,
        messages: &[Message],
        tools: Option<&Value>,
        add_generation_prompt: bool,
    ) -> Result<String, EncodeError> {
        let inputs = TemplateInputs { tools: tools.cloned(), ..TemplateInputs::default() };
        let conversation = self.conversation(messages, &inputs, None)?;
        Ok(conversation.render(messages.len(), add_generation_prompt)?.text)
    }

    /// Whether it can render a conversation with this role in it, and the reason where it cannot.
    pub fn objection_to(&self, role: perennial_types::Role) -> Option<String> {
        probes::objection_to(self, role)
    }

    /// A conversation to be rendered, in whole and up to some message. With control tokens, those that somebody said are
    /// told apart from those that the template writes.
    pub(super) fn conversation(
        &self,
        messages: &[Message],
        inputs: &TemplateInputs,
        control: Option<&ControlTokens>,
    ) -> Result<Conversation, EncodeError> {
        if let Some(template) = self.for_tools.as_ref().filter(|_| inputs.tools.is_some()) {
            return template.conversation(messages, inputs, control);
        }
        Ok(Conversation::new(self.program()?, &self.special, self.habits(), messages, inputs, control))
    }

    fn program(&self) -> Result<Program, EncodeError> {
        match &self.program {
            None => Err(EncodeError::NoChatTemplate),
            Some(Ok(program)) => Ok(*program),
            Some(Err(fault)) => Err(EncodeError::BrokenTemplate(fault.to_string())),
        }
    }

    fn habits(&self) -> &Habits {
        self.habits.get_or_init(|| match &self.program {
            Some(Ok(program)) => Habits::of(*program, &self.special),
            _ => Habits::default(),
        })
    }
}
