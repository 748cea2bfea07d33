use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use perennial_types::{Fingerprint, Fingerprinter};

use super::{
    TokenizerError,
    control::ControlTokens,
    ends::{self, EndReason, EndToken},
};
use crate::guarded::guarded;

/// Turns text into tokens and back. Cloning is cheap.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    special: SpecialTokens,
    ends: Vec<EndToken>,
    end_tokens: Vec<u32>,
    control_tokens: Arc<ControlTokens>,
    /// Rows of the embedding table that the tokens are looked up in, where that is known.
    rows: Option<usize>,
    /// The tokens of a line break, once they were asked for.
    line_break: OnceLock<Result<Vec<u32>, TokenizerError>>,
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
    /// The rest of what transformers hands to templates, such as `sep_token`, by that name.
    pub others: BTreeMap<String, String>,
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
        ends: &[(u32, EndReason)],
    ) -> Result<Self, TokenizerError> {
        // A file may ask for padding or truncation of its own: a batch here has neither.
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| TokenizerError::Invalid(error.to_string()))?;
        let mut named = Vec::new();
        if let Some(eos) = &special.eos {
            let id = inner.token_to_id(eos);
            let id = id.ok_or_else(|| TokenizerError::Invalid(format!("has no token `{eos}`, its eos token")))?;
            named.push((id, EndReason::Eos));
        }
        named.extend_from_slice(ends);
        let special_tokens = inner.get_added_tokens_decoder().into_values().filter(|token| token.special);
        let control_tokens = Arc::new(ControlTokens::new(special_tokens.map(|token| token.content)));
        let (ends, end_tokens) = (Vec::new(), Vec::new());
        let (inner, line_break) = (Arc::new(inner), OnceLock::new());
        let new = Self { inner, special, ends, end_tokens, control_tokens, rows: None, line_break };
        Ok(new.ending_with(&named))
    }

    /// This tokenizer for a model whose embedding table has so many rows: a text with a token beyond them is then refused by
    /// [`TokenizerError::NoRow`], where transformers fails in the middle of a step.
    #[must_use]
    pub fn for_rows(self, rows: usize) -> Self {
        // A line break may have no row either.
        Self { rows: Some(rows), line_break: OnceLock::new(), ..self }
    }

    pub(super) fn ending_with(self, named: &[(u32, EndReason)]) -> Self {
        let ends = ends::collected(named, |id| self.inner.id_to_token(id));
        let end_tokens = ends.iter().map(|end| end.id).collect();
        Self { ends, end_tokens, ..self }
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
    /// Where the tokenizer refuses the text, or the model has no row for one of its tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.spans(text, true)?.tokens)
    }

    /// The tokens of a text that already holds its special tokens, as a rendered chat template does.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_rendered(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.spans(text, false)?.tokens)
    }

    /// As [`encode_rendered`](Self::encode_rendered), without the tokens that the model has no row for: for those who want a
    /// likeness of the text.
    ///
    /// # Errors
    /// Where the tokenizer refuses the text.
    pub(crate) fn encode_what_has_rows(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = self.all_spans(text, false)?.tokens;
        tokens.retain(|token| self.has_row(*token));
        Ok(tokens)
    }

    pub(crate) fn spans(&self, text: &str, add_special_tokens: bool) -> Result<Spanned, TokenizerError> {
        self.with_rows(self.all_spans(text, add_special_tokens)?)
    }

    /// The tokens, where the model has a row for each.
    pub(super) fn with_rows(&self, spanned: Spanned) -> Result<Spanned, TokenizerError> {
        match (self.rows, spanned.tokens.iter().find(|token| !self.has_row(**token))) {
            (Some(rows), Some(&id)) => {
                Err(TokenizerError::NoRow { token: self.inner.id_to_token(id).unwrap_or_default(), id, rows })
            }
            _ => Ok(spanned),
        }
    }

    fn all_spans(&self, text: &str, add_special_tokens: bool) -> Result<Spanned, TokenizerError> {
        Ok(Spanned::of(&self.asked(|inner| inner.encode(text, add_special_tokens))?))
    }

    /// The tokens of a line break.
    pub(super) fn line_break(&self) -> Result<&[u32], TokenizerError> {
        let line_break = self.line_break.get_or_init(|| Ok(self.spans("\n", false)?.tokens));
        line_break.as_deref().map_err(Clone::clone)
    }

    /// What the tokenizer answers, or why it does not.
    pub(super) fn asked<T>(
        &self,
        question: impl FnOnce(&tokenizers::Tokenizer) -> tokenizers::Result<T>,
    ) -> Result<T, TokenizerError> {
        guarded(|| question(&self.inner).map_err(|error| error.to_string())).flatten().map_err(TokenizerError::Encode)
    }

    fn has_row(&self, token: u32) -> bool {
        self.rows.is_none_or(|rows| (token as usize) < rows)
    }

    /// The text of tokens, special tokens left out. Bytes that are no UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// Where the decoder refuses the tokens.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.asked(|inner| inner.decode(tokens, true))
    }

    /// As [`decode`](Self::decode), special tokens included.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_all(&self, tokens: &[u32]) -> Result<String, TokenizerError> {
        self.asked(|inner| inner.decode(tokens, false))
    }

    /// The token with exactly this text, if there is one.
    pub fn token_id(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// Whether a token was added as a special one: such tokens are control, not text.
    pub(super) fn is_special(&self, token: u32) -> bool {
        let text = self.inner.id_to_token(token);
        text.is_some_and(|text| self.inner.get_added_vocabulary().is_special_token(&text))
    }

    /// The token that ends a text.
    pub fn eos(&self) -> Option<u32> {
        self.special.eos.as_deref().and_then(|eos| self.token_id(eos))
    }

    /// The tokens that end a generation, sorted.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end_tokens
    }

    /// The tokens that end a generation, each with its reasons, sorted by id.
    pub fn ends(&self) -> &[EndToken] {
        &self.ends
    }

    /// The special tokens, to be found in what somebody said.
    pub(crate) fn control_tokens(&self) -> &ControlTokens {
        &self.control_tokens
    }

    /// The tokens with a role.
    pub fn special(&self) -> &SpecialTokens {
        &self.special
    }

    /// The number of tokens, added ones included; the embedding table may have more rows.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The tokens that the model has no row for, by id: they were added to the tokenizer, and the embeddings were not resized.
    pub fn tokens_without_row(&self) -> Vec<(u32, String)> {
        let all: BTreeMap<u32, String> = self.inner.get_vocab(true).into_iter().map(|(text, id)| (id, text)).collect();
        all.into_iter().filter(|(id, _)| !self.has_row(*id)).collect()
    }

    /// The content of a `tokenizer.json`.
    ///
    /// # Errors
    /// Where the tokenizer cannot be written as JSON.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(false).map_err(|error| TokenizerError::Invalid(format!("cannot be written: {error}")))
    }
}
