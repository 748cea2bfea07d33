use std::{collections::BTreeMap, fmt};

use perennial_types::{Message, Role};

use super::{ChatTemplate, Tokenizer};

/// A token that ends a generation, and why it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndToken {
    /// The token.
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

/// What the assistant says where it is looked for what follows: nothing that a template would cut off or take apart.
const PROBE: &str = "Probe7301";

/// The token with which a template closes an assistant turn: the first special one that it writes after what the assistant said.
/// Base models often keep the EOS of their pre-training, which ends no turn. `None` where the template refuses the probe, writes
/// no special token, or goes straight on from it to one that is an end already (Cohere closes the answer and then the turn).
pub(super) fn turn_end(tokenizer: &Tokenizer, template: &ChatTemplate) -> Option<u32> {
    let turns = [Message::new(Role::User, "Hello"), Message::new(Role::Assistant, PROBE)];
    let rendered = template.render(&turns, None, false).ok()?;
    let (_, after) = rendered.rsplit_once(PROBE)?;
    let tokens = tokenizer.encode_rendered(after).ok()?;
    let place = tokens.iter().position(|token| tokenizer.is_special(*token))?;
    let next_ends = tokens.get(place + 1).is_some_and(|next| tokenizer.end_tokens().contains(next));
    tokens.get(place).copied().filter(|_| !next_ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenize::{
        SpecialTokens,
        testing::{CHATML, byte_tokenizer_with},
    };

    fn ends(template: &str) -> Vec<EndToken> {
        let special = SpecialTokens { eos: Some("<|pad|>".to_owned()), ..SpecialTokens::default() };
        let template = ChatTemplate::new(Some(template), &special);
        byte_tokenizer_with(special).ending_turns_as(&template).ends().to_vec()
    }

    #[test]
    fn the_token_that_closes_a_turn_is_an_end_whatever_the_eos_is() {
        let ids = |template: &str| ends(template).iter().map(|end| end.id).collect::<Vec<_>>();
        assert_eq!(ids(CHATML), [257, 258]);
        assert_eq!(ends(CHATML)[0].to_string(), "<|im_end|> (closes the chat template's assistant turns)");
        assert_eq!(ends(CHATML)[1].to_string(), "<|pad|> (the eos token)");
        let closed_by = |closing: &str| {
            format!("{{% for m in messages %}}{{{{ m.role }}}}: {{{{ m.content }}}}{closing}{{% endfor %}}")
        };
        assert_eq!(ids(&closed_by(" \n<|im_end|>\n<|im_start|>")), [257, 258]);
        assert_eq!(ids(&closed_by("<|im_start|><|pad|>")), [258], "an end follows at once");
        assert_eq!(ids(&closed_by("<|pad|>")), [258]);
        assert_eq!(ends(&closed_by("<|pad|>"))[0].reasons, [EndReason::Eos, EndReason::TurnEnd]);
        assert_eq!(ids(&closed_by("\n\n")), [258]);
        assert_eq!(ids("{{ raise_exception('no') }}"), [258]);
    }

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
