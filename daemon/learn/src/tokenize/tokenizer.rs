use std::sync::Arc;

use perennial_types::{Fingerprint, Fingerprinter};

use super::{TokenizerError, control::ControlTokens};

/// Turns text into tokens and back. Cloning is cheap.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    special: SpecialTokens,
    end_tokens: Vec<u32>,
    control_tokens: Arc<ControlTokens>,
}

/// The tokens with a role, as text: chat templates read them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<String>,
    /// Ends a text, or an assistant turn.
    pub eos: Option<String>,
    /// Stands for what the vocabulary lacks.
    pub unk: Option<String>,
    /// Fills rows of a padded batch; kept for export.
    pub pad: Option<String>,
}

/// A text as tokens, with the place of each in the text.
pub(crate) struct Spanned {
    pub(crate) tokens: Vec<u32>,
    /// For each token, the byte after its last one in the text; 0 for tokens that stand for no text.
    pub(crate) ends: Vec<usize>,
}

impl Tokenizer {
    /// A tokenizer, and the tokens that end a generation besides its `eos`.
    ///
    /// # Errors
    /// Where a special token is not in the vocabulary.
    pub fn new(
        mut inner: tokenizers::Tokenizer,
        special: SpecialTokens,
        end_tokens: &[u32],
    ) -> Result<Self, TokenizerError> {
        // A file may ask for padding or truncation of its own: a batch here has neither.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TokenizerError::Invalid(error.to_string()))?;
        let mut end_tokens = end_tokens.to_vec();
        if let Some(eos) = &special.eos {
            let id = inner.token_to_id(eos);
            end_tokens.push(id.ok_or_else(|| TokenizerError::Invalid(format!("has no token `{eos}`, its eos token")))?);
        }
        end_tokens.sort_unstable();
        end_tokens.dedup();
        let special_tokens = inner.get_added_tokens_decoder().into_values().filter(|token| token.special);
        let control_tokens = Arc::new(ControlTokens::new(special_tokens.map(|token| token.content)));
        Ok(Self { inner: Arc::new(inner), special, end_tokens, control_tokens })
    }

    /// Of all that decides how a text becomes tokens, and where a generation ends.
    ///
    /// # Errors
    /// Where the tokenizer cannot be written down.
    pub fn fingerprint(&self) -> Result<Fingerprint, TokenizerError> {
        let text = self.inner.to_string(false).map_err(|error| TokenizerError::Encode(error.to_string()))?;
        let ends: Vec<u8> = self.end_tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
        let special = format!("{:?}", self.special);
        Ok(Fingerprinter::new().part(text.as_bytes()).part(&ends).part(special.as_bytes()).finish())
    }

    /// The tokens of a plain text, with the special tokens that the model expects around one (Llama's BOS).
    ///
    /// # Errors
    /// Where the tokenizer refuses the text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.spans(text, true)?.tokens)
    }

    /// The tokens of a text that already holds its special tokens, as a rendered chat template does.
    ///
    /// # Errors
    /// Where the tokenizer refuses the text.
    pub fn encode_rendered(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.spans(text, false)?.tokens)
    }

    pub(crate) fn spans(&self, text: &str, add_special_tokens: bool) -> Result<Spanned, TokenizerError> {
        let encoding =
            self.inner.encode(text, add_special_tokens).map_err(|error| TokenizerError::Encode(error.to_string()))?;
        let ends = encoding.get_offsets().iter().map(|&(_, end)| end).collect();
        Ok(Spanned { tokens: encoding.get_ids().to_vec(), ends })
    }

    /// The text of tokens, special tokens left out. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// Where the decoder refuses the tokens.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, true).map_err(|error| TokenizerError::Encode(error.to_string()))
    }

    /// As [`decode`](Self::decode), special tokens included.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_all(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(tokens, false).map_err(|error| TokenizerError::Encode(error.to_string()))
    }

    /// The token with exactly this text, if there is one.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.special.eos.as_deref().and_then(|eos| self.token_id(eos))
    }

    /// The tokens that end a generation, sorted.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// The special tokens, to be found in what somebody said.
    pub(crate) fn control_tokens(&self) -> &ControlTokens {
        &self.control_tokens
    }

    pub(super) fn inner(&self) -> &tokenizers::Tokenizer {
        &self.inner
    }

    /// The tokens with a role.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// The number of tokens, added ones included; the embedding table may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The content of a `tokenizer.json`.
    ///
    /// # Errors
    /// Where the tokenizer cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(false).map_err(|error| TokenizerError::Invalid(format!("cannot be written: {error}")))
    }
}
