//! A text as tokens piece by piece: cut where a model is asked to go on, and where somebody said a control token.

use std::ops::Range;

use tokenizers::{Encoding, Model, Normalizer, OffsetType, PreTokenizedString, PreTokenizer};

use super::{EncodeError, Tokenizer, TokenizerError, control::Rendered, tokenizer::Spanned};

impl Tokenizer {
    /// The tokens of a rendered text, cut at these bytes, and the first token after each of them. What somebody said as
    /// control tokens becomes text, as with `sanitize_control_tokens` of transformers.
    pub(super) fn spans_of(&self, rendered: &Rendered, cuts: &[usize]) -> Result<(Spanned, Vec<usize>), EncodeError> {
        if rendered.said.is_empty() && cuts.is_empty() {
            return Ok((self.spans(&rendered.text, false)?, Vec::new()));
        }
        let mut bounds: Vec<usize> = rendered.said.iter().flat_map(|said| [said.start, said.end]).collect();
        bounds.extend(cuts);
        bounds.push(rendered.text.len());
        bounds.sort_unstable();
        bounds.dedup();
        let mut whole = Spanned { tokens: Vec::new(), ends: Vec::new() };
        let mut firsts = vec![0; cuts.len()];
        let mut start = 0;
        for end in bounds {
            if end > start {
                let piece = &rendered.text[start..end];
                let spanned = match rendered.is_said(&(start..end)) {
                    true => self.said(piece)?,
                    false if start == 0 => self.spans(piece, false)?,
                    false => self.continuation(piece)?,
                };
                whole.extend(spanned, start);
                start = end;
            }
            for (cut, first) in cuts.iter().zip(&mut firsts) {
                if *cut == end {
                    *first = whole.tokens.len();
                }
            }
        }
        Ok((whole, firsts))
    }

    /// The tokens of a text that goes on from another.
    pub(super) fn continuation(&self, text: &str) -> Result<Spanned, TokenizerError> {
        self.after_a_line(text, |text| self.spans(text, false))
    }

    /// The tokens of a text in which no control token counts.
    fn said(&self, text: &str) -> Result<Spanned, EncodeError> {
        let spanned = self.after_a_line(text, |text| self.without_added_tokens(text))?;
        match self.token_id(text).filter(|token| spanned.tokens.contains(token)) {
            Some(_) => Err(EncodeError::SaidControlToken(text.to_owned())),
            None => Ok(spanned),
        }
    }

    /// Some tokenizers put a blank before whatever they are given. Behind a line break they do not, so one is put before
    /// the text and taken away again, as transformers does.
    fn after_a_line(
        &self,
        text: &str,
        encode: impl Fn(&str) -> Result<Spanned, TokenizerError>,
    ) -> Result<Spanned, TokenizerError> {
        let line = self.line_break()?;
        let mut behind = encode(&["\n", text].concat())?;
        if !behind.tokens.starts_with(line) {
            return encode(text);
        }
        behind.tokens.drain(..line.len());
        behind.ends.drain(..line.len());
        behind.ends.iter_mut().for_each(|end| *end = end.saturating_sub(1));
        Ok(behind)
    }

    fn without_added_tokens(&self, text: &str) -> Result<Spanned, TokenizerError> {
        let encoding = self.asked(|inner| encode_without_added_tokens(inner, text))?;
        self.with_rows(Spanned::of(&encoding))
    }
}

fn encode_without_added_tokens(inner: &tokenizers::Tokenizer, text: &str) -> tokenizers::Result<Encoding> {
    let mut pieces = PreTokenizedString::from(text);
    if let Some(normalizer) = inner.get_normalizer() {
        pieces.normalize(|text| normalizer.normalize(text))?;
    }
    if let Some(pre_tokenizer) = inner.get_pre_tokenizer() {
        pre_tokenizer.pre_tokenize(&mut pieces)?;
    }
    pieces.tokenize(|text| inner.get_model().tokenize(text.get()))?;
    pieces.into_encoding(None, 0, OffsetType::Byte)
}

impl Spanned {
    pub(super) fn of(encoding: &Encoding) -> Self {
        let ends = encoding.get_offsets().iter().map(|&(_, end)| end).collect();
        Self { tokens: encoding.get_ids().to_vec(), ends }
    }

    fn extend(&mut self, other: Self, start: usize) {
        self.tokens.extend(other.tokens);
        self.ends.extend(other.ends.into_iter().map(|end| start + end));
    }

    /// The tokens that end inside a stretch of the text. A token that straddles its start counts as inside, since the
    /// model must produce it; ends alone decide, because tokenizers may trim blanks off the starts that they report.
    pub(super) fn tokens_of(&self, bytes: Range<usize>) -> Range<usize> {
        let first = self.ends.iter().position(|&end| end > bytes.start).unwrap_or(self.ends.len());
        let last =
            self.ends.iter().rposition(|&end| end > bytes.start && end <= bytes.end).map_or(first, |last| last + 1);
        first..last
    }

    /// The token after the one in which these bytes end.
    pub(super) fn token_after(&self, byte: usize) -> usize {
        self.ends.iter().position(|&end| end >= byte).map_or(self.ends.len(), |last| last + 1)
    }
}
