use std::{borrow::Cow, ops::Range};

use perennial_types::{Body, Content, Message, Prompt, Role, TemplateInputs};

use super::{
    ChatTemplate, EncodeError, Tokenizer,
    as_chat::{self, as_messages},
    turns::{Finder, Found},
};

/// A sample as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// With those that the template writes around what is said.
    pub tokens: Vec<u32>,
    /// Whether each token is a target of the loss; as long as `tokens`. The first never is: nothing predicts it.
    pub supervised: Vec<bool>,
}

impl Encoded {
    /// The number of targets.
    pub fn supervised_count(&self) -> usize {
        self.supervised.iter().filter(|&&supervised| supervised).count()
    }

    pub(super) fn new(tokens: Vec<u32>, targets: &[Range<usize>]) -> Self {
        let mut supervised = vec![false; tokens.len()];
        for range in targets {
            supervised[range.clone()].fill(true);
        }
        if let Some(first) = supervised.first_mut() {
            *first = false;
        }
        Self { tokens, supervised }
    }

    /// Cut to so many tokens, and whether a target was lost.
    pub(super) fn cut_to(mut self, length_max: usize) -> Result<(Self, bool), EncodeError> {
        let lost = self.supervised.iter().skip(length_max).any(|supervised| *supervised);
        self.tokens.truncate(length_max);
        self.supervised.truncate(length_max);
        if self.supervised_count() == 0 {
            return Err(EncodeError::NothingSupervised { length_max });
        }
        Ok((self, lost))
    }
}

/// What is to be told of a sample's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// What should be learned goes on after the limit.
    pub cut: bool,
    /// Prompt and answer in one text would be other tokens: they are cut where the model is asked to go on.
    pub border_moved: bool,
    /// Somebody said a control token; it is text.
    pub control_tokens: bool,
    /// The template ends what the model is asked otherwise than it writes the answer, as with a place for thoughts that
    /// the answer has none for.
    pub prompt_differs: bool,
    /// Turns that are not learned, since the template does not write them as they would be asked for.
    pub turns_left_out: usize,
}

impl Notes {
    /// All that may be told: its name in metrics, and what it means.
    pub const ALL: [(&str, &str); 5] = [
        ("answer_cut", "what is learned goes on after train.max_length, and is cut there"),
        (
            "border_moved",
            "the last token of the prompt would be another one with the answer behind it, as where a blank ends it; it is \
             read as the model is asked",
        ),
        ("control_tokens_said", "somebody says a control token; it is read as text"),
        ("prompt_differs", "the template asks for something that the answer does not begin with, such as thoughts"),
        ("turns_left_out", "turns are left out that the template does not write as they would be asked for"),
    ];

    /// What there is to tell, as in [`ALL`](Self::ALL).
    pub fn told(&self) -> Vec<(&'static str, &'static str)> {
        let holds = [self.cut, self.border_moved, self.control_tokens, self.prompt_differs, self.turns_left_out > 0];
        Self::ALL.into_iter().zip(holds).filter_map(|(told, holds)| holds.then_some(told)).collect()
    }
}

/// A sample as tokens, with its targets marked:
/// - messages: rendered by the template; the assistant turns with the token that ends each, but not those of `weight` 0
///   or with `train` false. Where the template marks them (`{% generation %}`), they are what TRL's `assistant_only_loss`
///   learns;
/// - prompt and completion: the completion's assistant turns likewise, so that one conversation is the same in both shapes
///   (TRL also learns what a template writes behind the end of the last turn); text completions get the EOS token;
/// - text: all of it and the EOS token.
///
/// Where the template [reads string prompts as a turn](ChatTemplate::reads_prompts_as_chat), a prompt that is a string and its
/// completion are the user's turn and the assistant's.
///
/// Prompts are the tokens that the model is asked with, so a token never straddles the place where an answer begins (TRL
/// takes the tokens of both in one text, and warns). What goes beyond `length_max` tokens is cut off at the end.
///
/// # Errors
/// [`EncodeError`], notably where nothing to learn is left.
pub fn encode_with_notes(
    body: &Body,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    length_max: usize,
) -> Result<(Encoded, Notes), EncodeError> {
    let body = if template.reads_prompts_as_chat() { as_chat::body(body) } else { Cow::Borrowed(body) };
    let (encoded, mut notes) = match &*body {
        Body::Messages { messages, inputs } => encode_turns(messages, 0, inputs, tokenizer, template, length_max)?,
        Body::PromptCompletion { prompt: Content::Text(prompt), completion: Content::Text(completion), .. } => {
            encode_text(prompt, completion, tokenizer)?
        }
        Body::PromptCompletion { prompt, completion, inputs } => {
            let prompt = as_messages(prompt, Role::User);
            let messages = [prompt.as_slice(), &as_messages(completion, Role::Assistant)].concat();
            encode_turns(&messages, prompt.len(), inputs, tokenizer, template, length_max)?
        }
        Body::Text { text } => encode_text("", text, tokenizer)?,
        Body::Preference { .. } | Body::PromptOnly { .. } => return Err(EncodeError::NotSupervised(body.kind())),
    };
    let (encoded, lost) = encoded.cut_to(length_max)?;
    notes.cut |= lost;
    Ok((encoded, notes))
}

/// As [`encode_with_notes`], for those who need no notes.
///
/// # Errors
/// As [`encode_with_notes`].
pub fn encode(
    body: &Body,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    length_max: usize,
) -> Result<Encoded, EncodeError> {
    encode_with_notes(body, tokenizer, template, length_max).map(|(encoded, _)| encoded)
}

/// What the model is given to go on from: plain text, or a conversation up to where the assistant begins to speak. A string
/// is one or the other as for [`encode_with_notes`].
///
/// # Errors
/// [`EncodeError`], where the template or the tokenizer fails.
pub fn encode_prompt(prompt: &Prompt, tokenizer: &Tokenizer, template: &ChatTemplate) -> Result<Vec<u32>, EncodeError> {
    let content = &prompt.content;
    let content = if template.reads_prompts_as_chat() { as_chat::prompt(content) } else { Cow::Borrowed(content) };
    match &*content {
        Content::Text(text) => Ok(tokenizer.encode(text)?),
        Content::Messages(messages) => {
            let conversation = template.conversation(messages, &prompt.inputs, Some(tokenizer.control_tokens()))?;
            let rendered = conversation.render(messages.len(), true)?;
            Ok(tokenizer.spans_of(&rendered, &[])?.0.tokens)
        }
    }
}

/// A text that the EOS token ends, where there is one.
pub(super) fn with_eos(text: &str, tokenizer: &Tokenizer) -> String {
    match &tokenizer.special().eos {
        Some(eos) if !text.ends_with(eos.as_str()) => [text, eos].concat(),
        _ => text.to_owned(),
    }
}

fn encode_text(prompt: &str, completion: &str, tokenizer: &Tokenizer) -> Result<(Encoded, Notes), EncodeError> {
    let answer = with_eos(completion, tokenizer);
    let whole = tokenizer.spans(&[prompt, &answer].concat(), true)?.tokens;
    let mut notes = Notes::default();
    if prompt.is_empty() {
        let everything = 0..whole.len();
        return Ok((Encoded::new(whole, &[everything]), notes));
    }
    let asked = tokenizer.encode(prompt)?;
    let start = asked.len();
    let tokens = match whole.starts_with(&asked) {
        true => whole,
        false => {
            notes.border_moved = true;
            [asked, tokenizer.continuation(&answer)?.tokens].concat()
        }
    };
    let targets = start..tokens.len();
    Ok((Encoded::new(tokens, &[targets]), notes))
}

fn encode_turns(
    messages: &[Message],
    first: usize,
    inputs: &TemplateInputs,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    length_max: usize,
) -> Result<(Encoded, Notes), EncodeError> {
    let conversation = &template.conversation(messages, inputs, Some(tokenizer.control_tokens()))?;
    let found = Finder { tokenizer, conversation, messages, first, length_max }.find()?;
    let Found { rendered, spanned: uncut, targets, left_out, cut, prompt_differs } = found;
    let starts: Vec<usize> = targets.iter().map(|target| target.start).collect();
    let (spanned, firsts) = tokenizer.spans_of(&rendered, &starts)?;
    let ranges: Vec<Range<usize>> =
        targets.iter().zip(firsts).map(|(target, first)| first..spanned.token_after(target.end).max(first)).collect();
    let notes = Notes {
        cut,
        border_moved: spanned.tokens != uncut.tokens,
        control_tokens: conversation.has_said_control_tokens(),
        prompt_differs,
        turns_left_out: left_out,
    };
    Ok((Encoded::new(spanned.tokens, &ranges), notes))
}
