//! Control tokens that stand in what somebody said. transformers reads the text `<|im_end|>` in a message as the token that
//! ends a turn, unless it is told to `sanitize_control_tokens`; whoever is trained on what users say unattended must be.
//! So what is said is text here, always: the template alone writes control tokens.

use std::{collections::BTreeMap, ops::Range};

use serde_json::Value;

/// Marks around a control token in what is given to a template; the characters that transformers takes.
const START: char = '\u{f0000}';
const END: char = '\u{f0001}';

/// The special tokens of a tokenizer, to be found in texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct ControlTokens {
    /// By their first character, the longest first.
    by_first: BTreeMap<char, Vec<String>>,
}

/// A text that a template wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// The bytes in which control tokens are text, because somebody said them.
    pub(crate) said: Vec<Range<usize>>,
    /// The bytes of each `generation` block.
    pub(crate) generation: Vec<Range<usize>>,
}

impl ControlTokens {
    pub(crate) fn new(texts: impl IntoIterator<Item = String>) -> Self {
        let mut by_first: BTreeMap<char, Vec<String>> = BTreeMap::new();
        for text in texts {
            if let Some(first) = text.chars().next() {
                by_first.entry(first).or_default().push(text);
            }
        }
        for texts in by_first.values_mut() {
            texts.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        }
        Self { by_first }
    }

    /// The bytes of every control token in a text, from left to right.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        for (place, first) in text.char_indices() {
            if found.last().is_some_and(|last| last.end > place) {
                continue;
            }
            let candidates = self.by_first.get(&first).into_iter().flatten();
            if let Some(token) = candidates.into_iter().find(|token| text[place..].starts_with(token.as_str())) {
                found.push(place..place + token.len());
            }
        }
        found
    }

    /// Whether a control token stands in any of the texts inside a value.
    pub(crate) fn stand_in(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => !self.find(text).is_empty(),
            Value::Array(items) => items.iter().any(|item| self.stand_in(item)),
            Value::Object(fields) => fields.values().any(|value| self.stand_in(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// Marks the control tokens in the texts inside a value; the names of fields are left alone.
    pub(crate) fn mark(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.marked(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mark(item)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.mark(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn marked(&self, text: &str) -> String {
        let text = text.replace([START, END], "");
        let mut marked = String::with_capacity(text.len());
        let mut written = 0;
        for found in self.find(&text) {
            marked.push_str(&text[written..found.start]);
            marked.push(START);
            marked.push_str(&text[found.clone()]);
            marked.push(END);
            written = found.end;
        }
        marked.push_str(&text[written..]);
        marked
    }
}

impl Rendered {
    /// A text whose inputs were not marked.
    pub(crate) fn plain(text: String, generation: Vec<Range<usize>>) -> Self {
        Self { text, said: Vec::new(), generation }
    }

    /// A text whose inputs were marked: what was said is what stands between marks, and a mark that a template cut off
    /// from its token still parts what is on its sides.
    pub(crate) fn unmarked(marked: &str, generation: &[Range<usize>]) -> Self {
        let mut text = String::with_capacity(marked.len());
        let mut said = Vec::new();
        let mut open = None;
        // For each byte of the marked text that begins a character, its place in the text.
        let mut places = BTreeMap::new();
        for (place, character) in marked.char_indices() {
            if generation.iter().any(|block| block.start == place || block.end == place) {
                places.insert(place, text.len());
            }
            match character {
                START => {
                    said.extend(open.replace(text.len()).map(|lone| lone..lone));
                }
                END => said.push(open.take().unwrap_or(text.len())..text.len()),
                character => text.push(character),
            }
        }
        said.extend(open.map(|lone| lone..lone));
        let place = |marked: usize| places.get(&marked).copied().unwrap_or(text.len());
        let generation = generation.iter().map(|block| place(block.start)..place(block.end)).collect();
        Self { text, said, generation }
    }

    /// Whether these bytes touch what somebody said as control tokens.
    pub(crate) fn is_said(&self, bytes: &Range<usize>) -> bool {
        self.said.iter().any(|said| said.start < bytes.end && bytes.start < said.end)
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "what is compared is a list of ranges")]
mod tests {
    use serde_json::json;

    use super::*;

    fn tokens() -> ControlTokens {
        ControlTokens::new(["<|im_end|>", "<|im_end|>x", "[INST]"].map(str::to_owned))
    }

    #[test]
    fn what_was_said_is_found_again() {
        let mut value = json!({"<|im_end|>": ["a<|im_end|>b", 1, {"c": "[INST]"}]});
        assert!(tokens().stand_in(&value));
        tokens().mark(&mut value);
        let marked = value["<|im_end|>"][0].as_str().unwrap();
        let rendered = Rendered::unmarked(&format!("<|im_end|>{marked}<|im_end|>"), &[]);
        assert_eq!((rendered.text.as_str(), rendered.said.clone()), ("<|im_end|>a<|im_end|>b<|im_end|>", vec![11..21]));
        assert!(rendered.is_said(&(0..12)) && !rendered.is_said(&(0..11)) && !rendered.is_said(&(21..30)));
    }

    #[test]
    fn the_longest_token_counts_and_marks_cannot_be_forged() {
        assert_eq!(tokens().find("<|im_end|>x<|im_end|>"), [0..11, 11..21]);
        let forged = format!("{START}[INST]{END}");
        assert_eq!(tokens().marked(&forged), forged);
        assert_eq!(tokens().marked(&format!("{START}a{END}")), "a");
    }

    #[test]
    fn a_mark_that_was_cut_off_still_parts_the_text() {
        let rendered = Rendered::unmarked(&format!("a{START}b{END}{END}c"), &[0..1]);
        assert_eq!(rendered.text, "abc");
        assert_eq!((rendered.said, rendered.generation), (vec![1..2, 2..2], vec![0..1]));
    }
}
