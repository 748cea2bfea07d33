use perennial_types::{Message, Role};

use super::{ChatTemplate, EndReason, Tokenizer};

impl Tokenizer {
    /// Counts the token with which a template closes an assistant turn as an end, where there is one.
    #[must_use]
    pub fn ending_turns_as(self, template: &ChatTemplate) -> Self {
        let Some(turn_end) = turn_end(&self, template) else { return self };
        let named = self.ends().iter().flat_map(|end| end.reasons.iter().map(|reason| (end.id, *reason)));
        let named: Vec<_> = named.chain([(turn_end, EndReason::TurnEnd)]).collect();
        self.ending_with(&named)
    }
}

/// What the assistant says where it is looked for what follows: nothing that a template would cut off or take apart.
const PROBE: &str = "Probe7301";

/// The token with which a template closes an assistant turn: the first special one that it writes after what the assistant said.
/// Base models often keep the EOS of their pre-training, which ends no turn. `None` where the template refuses the probe, writes
/// no special token, or goes straight on from it to one that is an end already (Cohere closes the answer and then the turn).
fn turn_end(tokenizer: &Tokenizer, template: &ChatTemplate) -> Option<u32> {
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
        EndToken, SpecialTokens,
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
}
