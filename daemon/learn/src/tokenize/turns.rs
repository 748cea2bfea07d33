use std::ops::Range;

use perennial_types::{Message, Role};
use serde_json::Value;

use super::{ChatTemplate, EncodeError, Tokenizer, tokenizer::Spanned};

/// Finds assistant turns in a rendered conversation. A template is a program, so the only way to tell where a turn
/// starts and ends is to render the conversation up to there and see that the whole begins with it.
pub(super) struct Finder<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) template: &'a ChatTemplate,
    pub(super) messages: &'a [Message],
    pub(super) tools: Option<&'a Value>,
    pub(super) rendered: &'a str,
}

impl Finder<'_> {
    /// The tokens of each turn that is trained on, with the token that ends it.
    pub(super) fn trained_turns(&self, spanned: &Spanned) -> Result<Vec<Range<usize>>, EncodeError> {
        self.turns_from(0, spanned)
    }

    /// As [`trained_turns`](Self::trained_turns), of the messages from `first` on.
    pub(super) fn turns_from(&self, first: usize, spanned: &Spanned) -> Result<Vec<Range<usize>>, EncodeError> {
        let mut found = Vec::new();
        let mut searched_to = 0;
        for (turn, message) in self.messages.iter().enumerate() {
            if message.role != Role::Assistant {
                continue;
            }
            let start = self.start(turn, searched_to)?;
            let tokens = self.tokens(turn, start, spanned)?;
            searched_to = tokens.end.checked_sub(1).map_or(start, |last| spanned.ends[last]).max(start);
            if turn >= first && message.is_trained_on() {
                found.push(tokens);
            }
        }
        Ok(found)
    }

    /// The byte where a turn's own text starts.
    fn start(&self, turn: usize, searched_to: usize) -> Result<usize, EncodeError> {
        let before = self.template.render(&self.messages[..turn], self.tools, true);
        if let Ok(before) = &before
            && turn > 0
            && self.rendered.starts_with(before.as_str())
        {
            return Ok(before.len());
        }
        // A conversation may open with the assistant, whose turn some templates precede with a default system turn; and
        // some leave out of earlier turns what they would write of the last one. Then look for the turn's header.
        let header = self.header()?;
        let rest = self.rendered.get(searched_to..).unwrap_or_default();
        let place = rest.find(&header).filter(|_| !header.is_empty());
        place.map(|place| searched_to + place + header.len()).ok_or(EncodeError::TurnNotFound { turn })
    }

    /// What a template writes before what the assistant says.
    fn header(&self) -> Result<String, EncodeError> {
        let opening = &self.messages[..1];
        let closed = self.template.render(opening, self.tools, false)?;
        let open = self.template.render(opening, self.tools, true)?;
        Ok(open.strip_prefix(closed.as_str()).unwrap_or_default().to_owned())
    }

    fn tokens(&self, turn: usize, start: usize, spanned: &Spanned) -> Result<Range<usize>, EncodeError> {
        let is_end = |token: &u32| self.tokenizer.end_tokens().contains(token);
        let through = self.template.render(&self.messages[..=turn], self.tools, false)?;
        if self.rendered.starts_with(&through) && through.len() >= start {
            let tokens = spanned.tokens_of(start..through.len());
            // What follows the end token, often a line break, opens the next turn: the model never has to write it.
            let last_end = spanned.tokens[tokens.clone()].iter().rposition(is_end);
            return Ok(tokens.start..last_end.map_or(tokens.end, |last| tokens.start + last + 1));
        }
        let content = self.messages[turn].content.trim();
        let content_end = self.rendered[start..].find(content).map(|place| start + place + content.len());
        let content_end = content_end.ok_or(EncodeError::TurnNotFound { turn })?;
        let after_content = spanned.tokens_of(start..content_end);
        let end = spanned.tokens[after_content.end..].iter().position(is_end);
        end.map(|end| after_content.start..after_content.end + end + 1).ok_or(EncodeError::TurnNotFound { turn })
    }
}
