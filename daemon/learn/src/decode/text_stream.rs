use crate::tokenize::{Tokenizer, TokenizerError};

/// Turns the tokens of one completion into text as they come: whole characters only, and nothing of a stop text.
pub(super) struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    stop: &'a [String],
    tokens: Vec<u32>,
    /// Tokens from here to `decoded` are decoded again with what follows them, since the text of a token may depend on
    /// the one before it.
    context: usize,
    /// Tokens before this are in `text`.
    decoded: usize,
    text: String,
    sent: usize,
    stopped: bool,
}

impl<'a> TextStream<'a> {
    pub(super) fn new(tokenizer: &'a Tokenizer, stop: &'a [String]) -> Self {
        let (tokens, text) = (Vec::new(), String::new());
        Self { tokenizer, stop, tokens, context: 0, decoded: 0, text, sent: 0, stopped: false }
    }

    /// Takes a token in, and says whether the text has come to a stop text.
    pub(super) fn push(&mut self, token: u32) -> Result<bool, TokenizerError> {
        self.tokens.push(token);
        let before = self.tokenizer.decode(&self.tokens[self.context..self.decoded])?;
        let with_new = self.tokenizer.decode(&self.tokens[self.context..])?;
        // A character may be spread over several tokens, and decodes to U+FFFD until the last of them is there.
        if with_new.len() > before.len() && !with_new.ends_with(char::REPLACEMENT_CHARACTER) {
            self.append(with_new.get(before.len()..).unwrap_or_default());
            self.context = self.decoded;
            self.decoded = self.tokens.len();
        }
        Ok(self.stopped)
    }

    /// Takes the end of the tokens in: what was held back is text after all.
    pub(super) fn finish(&mut self) -> Result<(), TokenizerError> {
        if self.stopped {
            return Ok(());
        }
        let before = self.tokenizer.decode(&self.tokens[self.context..self.decoded])?;
        let rest = self.tokenizer.decode(&self.tokens[self.context..])?;
        self.append(rest.get(before.len()..).unwrap_or_default());
        self.decoded = self.tokens.len();
        self.stopped = true;
        Ok(())
    }

    /// What can be sent on now and has not been.
    pub(super) fn take_piece(&mut self) -> &str {
        let held = if self.stopped { 0 } else { held_back(&self.text, self.stop) };
        let start = self.sent;
        self.sent = (self.text.len() - held).max(start);
        &self.text[start..self.sent]
    }

    pub(super) fn into_parts(self) -> (Vec<u32>, String) {
        (self.tokens, self.text)
    }

    fn append(&mut self, piece: &str) {
        let longest = self.stop.iter().map(String::len).max().unwrap_or_default();
        let mut search_from = self.text.len().saturating_sub(longest);
        while !self.text.is_char_boundary(search_from) {
            search_from -= 1;
        }
        self.text.push_str(piece);
        let found = self.stop.iter().filter_map(|stop| self.text[search_from..].find(stop.as_str())).min();
        if let Some(place) = found {
            self.text.truncate(search_from + place);
            self.stopped = true;
        }
    }
}

/// The length of the longest end of `text` that a stop text begins with.
fn held_back(text: &str, stop: &[String]) -> usize {
    let longest = |stop: &String| {
        let ends = stop.char_indices().map(|(length, _)| length).filter(|&length| length > 0);
        ends.filter(|&length| text.ends_with(&stop[..length])).max().unwrap_or_default()
    };
    stop.iter().map(longest).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::testing::byte_tokenizer;

    /// The pieces of a text that comes byte by byte, and all of it.
    fn stream(text: &str, stop: &[&str]) -> (Vec<String>, String, bool) {
        let tokenizer = byte_tokenizer();
        let stop: Vec<String> = stop.iter().map(|&stop| stop.to_owned()).collect();
        let mut stream = TextStream::new(&tokenizer, &stop);
        let mut pieces = Vec::new();
        let mut stopped = false;
        for token in tokenizer.encode(text).unwrap() {
            stopped = stream.push(token).unwrap();
            pieces.push(stream.take_piece().to_owned());
            if stopped {
                break;
            }
        }
        stream.finish().unwrap();
        pieces.push(stream.take_piece().to_owned());
        pieces.retain(|piece| !piece.is_empty());
        (pieces, stream.into_parts().1, stopped)
    }

    #[test]
    fn characters_come_whole() {
        assert_eq!(stream("aé🦀b", &[]).0, ["a", "é", "🦀", "b"]);
    }

    #[test]
    fn a_stop_text_ends_the_text_and_is_never_sent() {
        let (pieces, text, stopped) = stream("one\n\ntwo", &["\n\n"]);
        assert_eq!((pieces.concat().as_str(), text.as_str(), stopped), ("one", "one", true));
    }

    #[test]
    fn what_might_become_a_stop_text_is_held_back_and_then_sent() {
        let (pieces, text, stopped) = stream("a<b<end", &["<end>"]);
        assert_eq!(pieces, ["a", "<b", "<end"]);
        assert_eq!((text.as_str(), stopped), ("a<b<end", false));
    }

    #[test]
    fn bytes_that_end_within_a_character_become_a_replacement() {
        let tokenizer = byte_tokenizer();
        let mut stream = TextStream::new(&tokenizer, &[]);
        stream.push(tokenizer.encode("é").unwrap()[0]).unwrap();
        assert_eq!(stream.take_piece(), "");
        stream.finish().unwrap();
        assert_eq!(stream.take_piece(), "\u{FFFD}");
    }
}
