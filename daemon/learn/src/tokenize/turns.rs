//! Which bytes of a rendered conversation are learned. A template is a program, so where a turn starts is found by asking
//! for it: by rendering the conversation up to there, as it is when the model is asked to go on.

use std::ops::Range;

use perennial_types::{Message, Role};

use super::{
    EncodeError, Tokenizer,
    control::Rendered,
    splice::{common_length, spliced},
    template::Conversation,
    tokenizer::Spanned,
};

/// Finds the turns of a conversation that are learned.
pub(super) struct Finder<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) conversation: &'a Conversation,
    pub(super) messages: &'a [Message],
    /// The first message that may be learned.
    pub(super) first: usize,
    /// What comes after this many tokens is cut off.
    pub(super) length_max: usize,
}

/// What is learned of a conversation.
pub(super) struct Found {
    /// The text: the conversation, or its last learned turn behind what the model is asked.
    pub(super) rendered: Rendered,
    /// The learned bytes of it.
    pub(super) targets: Vec<Range<usize>>,
    /// How many turns are not learned, though they should be: they are not written as they would be asked for.
    pub(super) left_out: usize,
    /// Whether some come after what is cut off.
    pub(super) cut: bool,
    /// Whether what the model is asked ends otherwise than the conversation goes on.
    pub(super) prompt_differs: bool,
}

/// Where a turn starts.
enum Start {
    /// Where the model is asked to go on.
    Asked(usize),
    /// Where the conversation goes another way than the end of what the model is asked, as where that opens a place for
    /// thoughts and the turn has none.
    Diverges(usize),
    /// The conversation before the turn is not what the model is asked.
    Elsewhere,
}

impl Finder<'_> {
    pub(super) fn find(&self) -> Result<Found, EncodeError> {
        let count = self.messages.len();
        let is_learned = |turn: &usize| self.messages[*turn].is_trained_on();
        let learned: Vec<usize> = (self.first..count).filter(is_learned).collect();
        let Some(&last) = learned.last() else { return Err(EncodeError::NoTurnIsTrained) };
        let whole = self.conversation.render(count, false)?;
        if self.conversation.marks_generation()
            && let Some(targets) = self.marked(&whole, &learned)
        {
            return Ok(Found { rendered: whole, targets, left_out: 0, cut: false, prompt_differs: false });
        }
        if last > 0 && matches!(self.start(&whole, last)?, Start::Elsewhere) {
            return self.alone(last, learned.len() - 1);
        }
        self.in_whole(whole, &learned)
    }

    /// The turns that the template marks, where its marks are the assistant's turns.
    fn marked(&self, whole: &Rendered, learned: &[usize]) -> Option<Vec<Range<usize>>> {
        let marks: Vec<Range<usize>> = whole.generation.iter().filter(|mark| !mark.is_empty()).cloned().collect();
        let turns: Vec<usize> =
            (0..self.messages.len()).filter(|turn| self.messages[*turn].role == Role::Assistant).collect();
        if marks.is_empty() {
            return None;
        }
        if marks.len() == turns.len() {
            let pairs = turns.iter().zip(marks);
            return Some(pairs.filter(|(turn, _)| learned.contains(turn)).map(|(_, mark)| mark).collect());
        }
        (learned.len() == turns.len()).then_some(marks)
    }

    fn in_whole(&self, whole: Rendered, learned: &[usize]) -> Result<Found, EncodeError> {
        let (spanned, _) = self.tokenizer.spans_of(&whole, &[])?;
        let last_kept = self.length_max.checked_sub(1).and_then(|last| spanned.ends.get(last));
        let kept_bytes = last_kept.copied().unwrap_or(usize::MAX);
        let header = self.header()?;
        let mut found = Found { rendered: whole, targets: Vec::new(), left_out: 0, cut: false, prompt_differs: false };
        let mut searched_to = 0;
        for (turn, message) in self.messages.iter().enumerate() {
            if message.role != Role::Assistant {
                continue;
            }
            let is_learned = learned.contains(&turn);
            let start = match self.start_after(&found.rendered, turn, searched_to, &header)? {
                Some((start, differs)) => {
                    found.prompt_differs |= differs && is_learned;
                    start
                }
                None => {
                    found.left_out += usize::from(is_learned);
                    continue;
                }
            };
            if start >= kept_bytes {
                found.cut = true;
                break;
            }
            searched_to = start;
            if !is_learned {
                continue;
            }
            match self.end(&found.rendered, &spanned, turn, start)? {
                Some(end) => {
                    found.targets.push(start..end);
                    searched_to = end;
                }
                None => found.left_out += 1,
            }
        }
        match (found.targets.is_empty() && !found.cut, learned.first()) {
            (true, Some(&turn)) => Err(EncodeError::TurnNotFound { turn }),
            _ => Ok(found),
        }
    }

    fn start(&self, whole: &Rendered, turn: usize) -> Result<Start, EncodeError> {
        let asked = self.conversation.render(turn, true)?;
        if whole.text.starts_with(&asked.text) {
            return Ok(Start::Asked(asked.text.len()));
        }
        let before = self.conversation.render(turn, false)?;
        if !whole.text.starts_with(&before.text) || common_length(&whole.text, &asked.text) < before.text.len() {
            return Ok(Start::Elsewhere);
        }
        // As TRL: where the tokens part, since a token that is common in part is not.
        let (of_asked, _) = self.tokenizer.spans_of(&asked, &[])?;
        let (of_whole, _) = self.tokenizer.spans_of(whole, &[])?;
        let pairs = of_whole.tokens.iter().zip(&of_asked.tokens);
        let common = pairs.take_while(|(one, other)| one == other).count();
        let byte = common.checked_sub(1).map_or(0, |last| of_whole.ends[last]);
        Ok(Start::Diverges(byte.max(before.text.len())))
    }

    /// The byte where a turn starts, and whether the model is asked otherwise there.
    fn start_after(
        &self,
        whole: &Rendered,
        turn: usize,
        searched_to: usize,
        header: &str,
    ) -> Result<Option<(usize, bool)>, EncodeError> {
        // What stands before it is rendered again for each turn: in a long conversation, only for the first of them.
        if turn > 0 && !self.conversation.is_costly() {
            match self.start(whole, turn)? {
                Start::Asked(start) => return Ok(Some((start, false))),
                Start::Diverges(start) => return Ok(Some((start, true))),
                Start::Elsewhere => {}
            }
        }
        // A conversation may open with the assistant, whose turn some templates precede with a default system turn; and
        // some leave out of earlier turns what they would write of the last one. Then the turn's header is looked for.
        let mut from = searched_to;
        while let Some(place) = whole.text.get(from..).and_then(|rest| rest.find(header)).filter(|_| !header.is_empty())
        {
            let header_bytes = from + place..from + place + header.len();
            if !whole.is_said(&header_bytes) {
                return Ok(Some((header_bytes.end, false)));
            }
            from = header_bytes.end;
        }
        Ok(None)
    }

    /// What the template writes before what the assistant says.
    fn header(&self) -> Result<String, EncodeError> {
        let (closed, open) = (self.conversation.render(1, false), self.conversation.render(1, true));
        let (Ok(closed), Ok(open)) = (closed, open) else { return Ok(String::new()) };
        Ok(open.text.strip_prefix(closed.text.as_str()).unwrap_or_default().to_owned())
    }

    /// The byte after the token that ends a turn: the last such token that the template writes with the turn, or else the
    /// first after its start.
    fn end(
        &self,
        rendered: &Rendered,
        spanned: &Spanned,
        turn: usize,
        start: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let is_end = |token: &u32| self.tokenizer.end_tokens().contains(token);
        let through = match turn + 1 == self.messages.len() {
            true => Some(rendered.text.len()),
            false if self.conversation.is_costly() => None,
            false => {
                let through = self.conversation.render(turn + 1, false)?.text;
                (rendered.text.starts_with(&through) && through.len() >= start).then_some(through.len())
            }
        };
        if let Some(through) = through {
            let tokens = spanned.tokens_of(start..through);
            // What follows the end token, often a line break, opens the next turn: the model never has to write it.
            let last_end = spanned.tokens[tokens.clone()].iter().rposition(is_end);
            return Ok(Some(last_end.map_or(through, |last| spanned.ends[tokens.start + last])));
        }
        let first = spanned.tokens_of(start..rendered.text.len()).start;
        if let Some(end) = spanned.tokens[first..].iter().position(is_end) {
            return Ok(Some(spanned.ends[first + end]));
        }
        let content = self.messages[turn].content.trim();
        Ok(rendered.text[start..].find(content).map(|place| start + place + content.len()))
    }

    /// A turn behind what the model is asked for it, and nothing else.
    fn alone(&self, turn: usize, left_out: usize) -> Result<Found, EncodeError> {
        let asked = self.conversation.render(turn, true)?;
        let through = self.conversation.render(turn + 1, false)?;
        let start = asked.text.len();
        let rendered = match through.text.starts_with(&asked.text) {
            true => through,
            false => spliced(asked, &through, self.messages[turn].content.trim())
                .ok_or(EncodeError::TurnNotFound { turn })?,
        };
        let (spanned, _) = self.tokenizer.spans_of(&rendered, &[])?;
        let tokens = spanned.tokens_of(start..rendered.text.len());
        let is_end = |token: &u32| self.tokenizer.end_tokens().contains(token);
        let last_end = spanned.tokens[tokens.clone()].iter().rposition(is_end);
        let end = last_end.map_or(rendered.text.len(), |last| spanned.ends[tokens.start + last]);
        Ok(Found {
            rendered,
            targets: std::iter::once(start..end).collect(),
            left_out,
            cut: false,
            prompt_differs: false,
        })
    }
}
