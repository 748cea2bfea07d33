use std::ops::Range;

use perennial_types::{Body, Content, Message, Role};

use super::{ChatTemplate, EncodeError, Tokenizer, tokenizer::Spanned, turns};

/// A sample as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// Whether each token is a target of the loss; as long as `tokens`. The first never is: nothing predicts it.
    pub supervised: Vec<bool>,
}

impl Encoded {
    /// The number of targets.
    pub fn supervised_count(&self) -> usize {
        self.supervised.iter().filter(|&&supervised| supervised).count()
    }

    fn new(tokens: Vec<u32>, targets: &[Range<usize>]) -> Self {
        let mut supervised = vec![false; tokens.len()];
        for range in targets {
            supervised[range.clone()].fill(true);
        }
        if let Some(first) = supervised.first_mut() {
            *first = false;
        }
        Self { tokens, supervised }
    }

    fn cut_to(mut self, length_max: usize) -> Result<Self, EncodeError> {
        self.tokens.truncate(length_max);
        self.supervised.truncate(length_max);
        if self.supervised_count() == 0 {
            return Err(EncodeError::NothingSupervised { length_max });
        }
        Ok(self)
    }
}

/// A sample as tokens, with its targets marked as TRL's `SFTTrainer` does:
/// - messages: rendered by the template; the assistant turns with the token that ends each, but not turns of weight 0;
/// - prompt and completion: all that follows the prompt; text completions get the EOS token;
/// - text: all of it and the EOS token.
///
/// What goes beyond `length_max` tokens is cut off at the end.
///
/// # Errors
/// [`EncodeError`], notably where nothing to learn is left.
pub fn encode(
    body: &Body,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    length_max: usize,
) -> Result<Encoded, EncodeError> {
    let encoded = match body {
        Body::Messages { messages, tools } => {
            let rendered = template.render(messages, tools.as_ref(), false)?;
            let spanned = tokenizer.spans(&rendered, false)?;
            let finder = turns::Finder { tokenizer, template, messages, tools: tools.as_ref(), rendered: &rendered };
            let targets = finder.trained_turns(&spanned)?;
            Encoded::new(spanned.tokens, &targets)
        }
        Body::PromptCompletion { prompt: Content::Text(prompt), completion: Content::Text(completion) } => {
            encode_text(prompt, completion, tokenizer)?
        }
        Body::PromptCompletion { prompt, completion } => {
            let prompt = as_messages(prompt, Role::User);
            let completion = as_messages(completion, Role::Assistant);
            encode_chat_completion(&prompt, &completion, tokenizer, template)?
        }
        Body::Text { text } => encode_text("", text, tokenizer)?,
        Body::Preference { .. } | Body::PromptOnly { .. } => return Err(EncodeError::NotSupervised(body.kind())),
    };
    encoded.cut_to(length_max)
}

/// What the model is given to go on from: plain text, or a conversation up to where the assistant begins to speak.
///
/// # Errors
/// [`EncodeError`], where the template or the tokenizer fails.
pub fn encode_prompt(
    content: &Content,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
) -> Result<Vec<u32>, EncodeError> {
    match content {
        Content::Text(text) => Ok(tokenizer.encode(text)?),
        Content::Messages(messages) => {
            let rendered = template.render(messages, None, true)?;
            Ok(tokenizer.encode_rendered(&rendered)?)
        }
    }
}

/// That a model with so many embeddings has one of each token.
pub(crate) fn check_embedded(tokens: &[u32], embeddings: usize) -> Result<(), EncodeError> {
    match tokens.iter().find(|token| **token as usize >= embeddings) {
        Some(token) => Err(EncodeError::NoEmbedding { token: *token, embeddings }),
        None => Ok(()),
    }
}

fn as_messages(content: &Content, speaker: Role) -> Vec<Message> {
    match content {
        Content::Text(text) => vec![Message::new(speaker, text.as_str())],
        Content::Messages(messages) => messages.clone(),
    }
}

fn encode_text(prompt: &str, completion: &str, tokenizer: &Tokenizer) -> Result<Encoded, EncodeError> {
    let mut text = format!("{prompt}{completion}");
    if let Some(eos) = &tokenizer.special().eos
        && !completion.ends_with(eos.as_str())
    {
        text.push_str(eos);
    }
    let spanned = tokenizer.spans(&text, true)?;
    let targets = spanned.tokens_of(prompt.len()..text.len());
    Ok(Encoded::new(spanned.tokens, &[targets]))
}

fn encode_chat_completion(
    prompt: &[Message],
    completion: &[Message],
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
) -> Result<Encoded, EncodeError> {
    let messages = [prompt, completion].concat();
    let rendered = template.render(&messages, None, false)?;
    let spanned = tokenizer.spans(&rendered, false)?;
    let asked = template.render(prompt, None, true)?;
    if rendered.starts_with(&asked) {
        let targets = spanned.tokens_of(asked.len()..rendered.len());
        return Ok(Encoded::new(spanned.tokens, &[targets]));
    }
    let finder = turns::Finder { tokenizer, template, messages: &messages, tools: None, rendered: &rendered };
    let targets = finder.turns_from(prompt.len(), &spanned)?;
    Ok(Encoded::new(spanned.tokens, &targets))
}

impl Spanned {
    /// The tokens that end inside a stretch of the text. A token that straddles its start counts as inside, since the
    /// model must produce it; ends alone decide, because tokenizers may trim blanks off the starts that they report.
    pub(super) fn tokens_of(&self, bytes: Range<usize>) -> Range<usize> {
        let first = self.ends.iter().position(|&end| end > bytes.start).unwrap_or(self.ends.len());
        let last =
            self.ends.iter().rposition(|&end| end > bytes.start && end <= bytes.end).map_or(first, |last| last + 1);
        first..last
    }
}
