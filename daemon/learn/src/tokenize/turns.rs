//! Which bytes of a rendered conversation are learned. A template is a program, so where a turn starts is found by asking
//! for it: by rendering the conversation up to there, as it is when the model is asked to go on.

use std::{cell::OnceCell, ops::Range};

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
    /// Its tokens, cut nowhere but where somebody said a control token.
    pub(super) spanned: Spanned,
    /// The learned bytes of it.
    pub(super) targets: Vec<Range<usize>>,
    /// How many turns are not learned, though they should be: they are not written as they would be asked for.
    pub(super) left_out: usize,
    /// Whether some come after what is cut off.
    pub(super) cut: bool,
    /// Whether what the model is asked ends otherwise than the conversation goes on.
    pub(super) prompt_differs: bool,
}

enum Start {
    /// Where the model is asked to go on.
    Asked(usize),
    /// Where the conversation goes another way than the end of what the model is asked, as where that opens a place for
    /// thoughts and the turn has none.
    Diverges {
        /// What the model is asked.
        asked: Rendered,
        /// The bytes of the conversation before the turn.
        before: usize,
    },
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
            return Ok(Found { targets, ..self.nothing_of(whole)? });
        }
        let start_of_last = (last > 0).then(|| self.start(&whole, last)).transpose()?;
        match start_of_last {
            Some(Start::Elsewhere) => self.alone(last, learned.len() - 1),
            start_of_last => self.in_whole(whole, &learned, start_of_last.map(|start| (last, start))),
        }
    }

    /// A text as tokens, of which nothing is learned yet.
    fn nothing_of(&self, rendered: Rendered) -> Result<Found, EncodeError> {
        let (spanned, _) = self.tokenizer.spans_of(&rendered, &[])?;
        Ok(Found { rendered, spanned, targets: Vec::new(), left_out: 0, cut: false, prompt_differs: false })
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

    /// The learned turns of the conversation; `known` is where one of them starts.
    fn in_whole(
        &self,
        whole: Rendered,
        learned: &[usize],
        mut known: Option<(usize, Start)>,
    ) -> Result<Found, EncodeError> {
        let mut found = self.nothing_of(whole)?;
        let last_kept = self.length_max.checked_sub(1).and_then(|last| found.spanned.ends.get(last));
        let kept_bytes = last_kept.copied().unwrap_or(usize::MAX);
        let header = OnceCell::new();
        let mut searched_to = 0;
        for (turn, message) in self.messages.iter().enumerate() {
            if message.role != Role::Assistant {
                continue;
            }
            let is_learned = learned.contains(&turn);
            let known = known.take_if(|(of, _)| *of == turn).map(|(_, start)| start);
            let start = match self.start_after(&found, turn, known, searched_to, &header)? {
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
            match self.end(&found, turn, start)? {
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
        Ok(Start::Diverges { asked, before: before.text.len() })
    }

    /// The byte where a conversation goes another way than what the model is asked. As TRL: where the tokens part, since a
    /// token that is common in part is not.
    fn parting(&self, of_whole: &Spanned, asked: &Rendered, before: usize) -> Result<usize, EncodeError> {
        let (of_asked, _) = self.tokenizer.spans_of(asked, &[])?;
        let pairs = of_whole.tokens.iter().zip(&of_asked.tokens);
        let common = pairs.take_while(|(one, other)| one == other).count();
        let byte = common.checked_sub(1).map_or(0, |last| of_whole.ends[last]);
        Ok(byte.max(before))
    }

    /// The byte where a turn starts, and whether the model is asked otherwise there. The header, which few conversations
    /// need, is kept for the next turn.
    fn start_after(
        &self,
        Found { rendered: whole, spanned, .. }: &Found,
        turn: usize,
        known: Option<Start>,
        searched_to: usize,
        header: &OnceCell<String>,
    ) -> Result<Option<(usize, bool)>, EncodeError> {
        // What stands before it is rendered again for each turn: in a long conversation, only for the first of them.
        if turn > 0 && !self.conversation.is_costly() {
            match known.map_or_else(|| self.start(whole, turn), Ok)? {
                Start::Asked(start) => return Ok(Some((start, false))),
                Start::Diverges { asked, before } => {
                    return Ok(Some((self.parting(spanned, &asked, before)?, true)));
                }
                Start::Elsewhere => {}
            }
        }
        // A conversation may open with the assistant, whose turn some templates precede with a default system turn; and
        // some leave out of earlier turns what they would write of the last one. Then the turn's header is looked for.
        let header = header.get_or_init(|| self.header()).as_str();
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
    fn header(&self) -> String {
        let (closed, open) = (self.conversation.render(1, false), self.conversation.render(1, true));
        let (Ok(closed), Ok(open)) = (closed, open) else { return String::new() };
        open.text.strip_prefix(closed.text.as_str()).unwrap_or_default().to_owned()
    }

    /// The byte after the token that ends a turn: the last such token that the template writes with the turn, or else the
    /// first after its start.
    fn end(
        &self,
        Found { rendered, spanned, .. }: &Found,
        turn: usize,
        start: usize,
    ) -> Result<Option<usize>, EncodeError> {
        let through = match turn + 1 == self.messages.len() {
            true => Some(rendered.text.len()),
            false if self.conversation.is_costly() => None,
            false => {
                let through = self.conversation.render(turn + 1, false)?.text;
                (rendered.text.starts_with(&through) && through.len() >= start).then_some(through.len())
            }
        };
        if let Some(through) = through {
            return Ok(Some(self.last_end(spanned, start..through)));
        }
        let first = spanned.tokens_of(start..rendered.text.len()).start;
        if let Some(end) = spanned.tokens[first..].iter().position(|token| self.is_end(token)) {
            return Ok(Some(spanned.ends[first + end]));
        }
        let content = self.messages[turn].content.trim();
        Ok(rendered.text[start..].find(content).map(|place| start + place + content.len()))
    }

    /// The byte after the last token of a stretch that ends a turn, or else the end of the stretch. What follows that token,
    /// often a line break, opens the next turn: the model never has to write it.
    fn last_end(&self, spanned: &Spanned, stretch: Range<usize>) -> usize {
        let tokens = spanned.tokens_of(stretch.clone());
        let last = spanned.tokens[tokens.clone()].iter().rposition(|token| self.is_end(token));
        last.map_or(stretch.end, |last| spanned.ends[tokens.start + last])
    }

    fn is_end(&self, token: &u32) -> bool {
        self.tokenizer.end_tokens().contains(token)
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
        let mut found = self.nothing_of(rendered)?;
        let end = self.last_end(&found.spanned, start..found.rendered.text.len());
        found.targets.push(start..end);
        Ok(Found { left_out, ..found })
    }
}
