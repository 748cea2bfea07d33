use std::{collections::BTreeMap, fmt};

/// A token that ends a generation, and why it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndToken {
    /// The token's number in the vocabulary.
    pub id: u32,
    /// Its text; empty for one that the vocabulary does not have.
    pub text: String,
    /// What makes it an end, each once.
    pub reasons: Vec<EndReason>,
}

/// What makes a token an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndReason {
    /// It is the tokenizer's `eos_token`.
    Eos,
    /// A file names it, under this key.
    Key(&'static str),
    /// Its text is one with which published models end a turn; GGUF files often lack the key for it.
    WellKnown,
    /// The chat template closes an assistant turn with it.
    TurnEnd,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eos => "the eos token",
            Self::Key(key) => key,
            Self::WellKnown => "a well-known end of turns",
            Self::TurnEnd => "closes the chat template's assistant turns",
        })
    }
}

impl fmt::Display for EndToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = self.reasons.iter().map(EndReason::to_string).collect::<Vec<_>>().join(", ");
        match self.text.as_str() {
            "" => write!(f, "{} ({reasons})", self.id),
            text => write!(f, "{text} ({reasons})"),
        }
    }
}

/// End tokens under collection: by id, each with its reasons in the order in which they were found.
pub(super) fn collected(named: &[(u32, EndReason)], text: impl Fn(u32) -> Option<String>) -> Vec<EndToken> {
    let mut ends: BTreeMap<u32, Vec<EndReason>> = BTreeMap::new();
    for (id, reason) in named {
        let reasons = ends.entry(*id).or_default();
        if !reasons.contains(reason) {
            reasons.push(*reason);
        }
    }
    let end = |(id, reasons)| EndToken { id, text: text(id).unwrap_or_default(), reasons };
    ends.into_iter().map(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_collected_by_token() {
        let named =
            [(7, EndReason::Key("config.json")), (3, EndReason::Eos), (7, EndReason::TurnEnd), (3, EndReason::Eos)];
        let ends = collected(&named, |id| (id == 3).then(|| "</s>".to_owned()));
        assert_eq!(
            ends.iter().map(EndToken::to_string).collect::<Vec<_>>(),
            ["</s> (the eos token)", "7 (config.json, closes the chat template's assistant turns)"]
        );
    }
}
