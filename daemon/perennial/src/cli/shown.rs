//! A body as the base model reads it, with what of it is learned.

use perennial_learn::{
    model::Model,
    tokenize::{EncodeError, Encoded, Notes},
};
use perennial_types::{Body, Content, Prompt};
use serde::Serialize;

/// One text that a body comes to.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown {
    /// Tokens, in stretches that are learned or not.
    Text(Text),
    /// Why there are none.
    Refused {
        /// What is wrong.
        refused: String,
    },
}

/// Tokens, in stretches that are learned or not.
#[derive(Debug, Serialize)]
pub(super) struct Text {
    /// What it is of the body: its kind, or one of the two answers of a preference.
    what: &'static str,
    /// Of the whole text, with the template's own.
    tokens: usize,
    /// Those that are learned.
    supervised: usize,
    /// What is to be told of it.
    notes: Vec<&'static str>,
    stretches: Vec<Stretch>,
}

/// Tokens next to each other that are learned, or are not.
#[derive(Debug, Serialize)]
struct Stretch {
    supervised: bool,
    text: String,
    tokens: Vec<u32>,
}

/// ANSI: green and bold, and what ends it.
const GREEN: (&str, &str) = ("\u{1b}[1;32m", "\u{1b}[0m");
/// Where there are no colours.
const BRACKETS: (&str, &str) = ("⟦", "⟧");

impl Shown {
    /// What a body comes to: one text, or one for each answer of a preference.
    pub(super) fn parts_of(body: &Body, model: &Model, length_max: usize) -> Vec<Self> {
        match body {
            Body::PromptOnly { prompt, inputs } => {
                let prompt = Prompt { content: prompt.clone(), inputs: inputs.clone() };
                let asked = model.encode_prompt(&prompt).map(|tokens| {
                    let supervised = vec![false; tokens.len()];
                    (Encoded { tokens, supervised }, Notes::default())
                });
                vec![Self::of("prompt_only", asked, model)]
            }
            Body::Preference { prompt, chosen, rejected, inputs } => {
                let parts = [("chosen", chosen), ("rejected", rejected)];
                let body = |answer: &Content| match (prompt, answer) {
                    (None, Content::Messages(messages)) => {
                        Body::Messages { messages: messages.clone(), inputs: inputs.clone() }
                    }
                    (None, Content::Text(text)) => Body::Text { text: text.clone() },
                    (Some(prompt), answer) => Body::PromptCompletion {
                        prompt: prompt.clone(),
                        completion: answer.clone(),
                        inputs: inputs.clone(),
                    },
                };
                let encoded =
                    |(what, answer)| Self::of(what, model.encode_with_notes(&body(answer), length_max), model);
                parts.map(encoded).into()
            }
            body => vec![Self::of(body.kind().as_str(), model.encode_with_notes(body, length_max), model)],
        }
    }

    /// A row that does not come so far.
    pub(super) fn refused(refused: String) -> Self {
        Self::Refused { refused }
    }

    fn of(what: &'static str, encoded: Result<(Encoded, Notes), EncodeError>, model: &Model) -> Self {
        let (encoded, notes) = match encoded {
            Ok(encoded) => encoded,
            Err(error) => return Self::refused(error.to_string()),
        };
        let pairs: Vec<(u32, bool)> = encoded.tokens.iter().copied().zip(encoded.supervised.iter().copied()).collect();
        let stretches = pairs.chunk_by(|one, next| one.1 == next.1).map(|stretch| {
            let tokens: Vec<u32> = stretch.iter().map(|(token, _)| *token).collect();
            // A tokenizer that cannot write its own tokens leaves their numbers.
            let text = model.tokenizer.decode_all(&tokens).unwrap_or_else(|_| format!("{tokens:?}"));
            Stretch { supervised: stretch.first().is_some_and(|(_, supervised)| *supervised), text, tokens }
        });
        Self::Text(Text {
            what,
            tokens: encoded.tokens.len(),
            supervised: encoded.supervised_count(),
            notes: notes.told().into_iter().map(|(_, told)| told).collect(),
            stretches: stretches.collect(),
        })
    }

    /// As a person reads it: what is learned in colour, or in brackets where there are no colours.
    pub(super) fn described(&self, colour: bool) -> String {
        let text = match self {
            Self::Refused { refused } => return format!("refused: {refused}"),
            Self::Text(text) => text,
        };
        let Text { what, tokens, supervised, notes, stretches } = text;
        let (open, close) = if colour { GREEN } else { BRACKETS };
        let mut described = format!("{what}, {tokens} tokens, {supervised} of them learned");
        for note in notes {
            described.push_str(&format!("\n  note: {note}"));
        }
        described.push('\n');
        for stretch in stretches {
            // What a terminal would carry out is shown instead.
            let text: String = stretch.text.chars().map(visible).collect();
            match stretch.supervised {
                true => described.extend([open, &text, close]),
                false => described.push_str(&text),
            }
        }
        described.push('\n');
        described
    }

    /// In one line, with where the last of what is learned begins.
    pub(super) fn in_brief(&self, colour: bool) -> String {
        const BEFORE: usize = 24;
        const LEARNED: usize = 48;
        let Text { tokens, supervised, notes, stretches, .. } = match self {
            Self::Refused { refused } => return format!("refused: {refused}"),
            Self::Text(text) => text,
        };
        let (open, close) = if colour { GREEN } else { BRACKETS };
        let mut brief = format!("{tokens} tokens, {supervised} learned");
        brief.extend(notes.iter().map(|note| format!("; {note}")));
        if let Some(last) = stretches.iter().rposition(|stretch| stretch.supervised) {
            let before = last.checked_sub(1).map_or("", |before| &stretches[before].text);
            let skipped = before.chars().count().saturating_sub(BEFORE);
            let before: String = before.chars().skip(skipped).map(in_line).collect();
            let learned: String = stretches[last].text.chars().take(LEARNED).map(in_line).collect();
            brief.push_str(&format!(": …{before}{open}{learned}{close}"));
        }
        brief
    }
}

fn in_line(character: char) -> char {
    if character == '\n' { '↵' } else { visible(character) }
}

fn visible(character: char) -> char {
    match character {
        '\n' | '\t' => character,
        character if character.is_control() => '\u{fffd}',
        character => character,
    }
}
