use perennial_types::{Body, Content};

use super::{ChatTemplate, EncodeError, Tokenizer};

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
    let _ = (body, tokenizer, template, length_max);
    todo!()
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
    let _ = (content, tokenizer, template);
    todo!()
}
