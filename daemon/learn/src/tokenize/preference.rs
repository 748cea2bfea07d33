use std::borrow::Cow;

use perennial_types::{Body, Content, Message, Role, TemplateInputs};

use super::{
    ChatTemplate, EncodeError, Encoded, Notes, Tokenizer,
    as_chat::{self, as_messages},
    encode::with_eos,
};

/// The better and the worse answer of a preference, each behind the prompt, as TRL's `DPOTrainer` reads them: all that comes
/// behind the prompt is a target, what a template writes behind the last turn included. Text answers get the EOS token. Both
/// answers start where the tokens of the prompt alone first part from those of prompt and answer. What goes beyond
/// `length_max` tokens is cut off at the end.
///
/// A prompt that is not given is what the answers begin with in common: turns of conversations, or characters of texts. One that is
/// a string is a turn where the template [reads it so](ChatTemplate::reads_prompts_as_chat).
///
/// # Errors
/// [`EncodeError`], notably where nothing of an answer is left, or the answers have no prompt in common.
pub fn encode_preference(
    body: &Body,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    length_max: usize,
) -> Result<([Encoded; 2], Notes), EncodeError> {
    let body = if template.reads_prompts_as_chat() { as_chat::body(body) } else { Cow::Borrowed(body) };
    let Body::Preference { prompt, chosen, rejected, inputs } = &*body else {
        return Err(EncodeError::NotSupervised(body.kind()));
    };
    let (prompt, answers) = (prompt.as_ref(), [chosen, rejected]);
    let text = |content: &Content| matches!(content, Content::Text(_));
    let mut notes = Notes::default();
    let is_text = prompt.is_none_or(text) && answers.into_iter().all(text);
    let Read { asked, whole } = match is_text {
        true => read_text(prompt, answers, tokenizer)?,
        false => read_turns(prompt, answers, inputs, tokenizer, template, &mut notes)?,
    };
    let [chosen, rejected] = whole;
    let prompt_length = common_length(&asked, &chosen).min(common_length(&asked, &rejected));
    if prompt_length < asked.len() {
        (notes.border_moved, notes.prompt_differs) = (is_text, !is_text);
    }
    let mut cut = |tokens: Vec<u32>| {
        let targets = prompt_length..tokens.len();
        let (encoded, lost) = Encoded::new(tokens, &[targets]).cut_to(length_max)?;
        notes.cut |= lost;
        Ok::<_, EncodeError>(encoded)
    };
    Ok(([cut(chosen)?, cut(rejected)?], notes))
}

/// The tokens of the prompt as the model is asked, and with each answer.
struct Read {
    asked: Vec<u32>,
    whole: [Vec<u32>; 2],
}

fn read_text(prompt: Option<&Content>, answers: [&Content; 2], tokenizer: &Tokenizer) -> Result<Read, EncodeError> {
    let [chosen, rejected] = answers.map(Content::text);
    let (prompt, answers) = match prompt {
        Some(prompt) => (prompt.text(), [chosen, rejected]),
        None => {
            let letters = [&chosen, &rejected].map(|answer| answer.chars().collect::<Vec<char>>());
            let mut shared = shared(&letters[0], &letters[1]);
            // A blank before what differs belongs to it.
            if shared < letters[0].len().min(letters[1].len()) && shared > 0 && letters[0][shared - 1] == ' ' {
                shared -= 1;
            }
            let part = |letters: &[char]| letters.iter().collect::<String>();
            (part(&letters[0][..shared]), letters.map(|letters| part(&letters[shared..])))
        }
    };
    let [chosen, rejected] = answers.map(|answer| tokenizer.encode(&(prompt.clone() + &with_eos(&answer, tokenizer))));
    Ok(Read { asked: tokenizer.encode(&prompt)?, whole: [chosen?, rejected?] })
}

fn read_turns(
    prompt: Option<&Content>,
    answers: [&Content; 2],
    inputs: &TemplateInputs,
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    notes: &mut Notes,
) -> Result<Read, EncodeError> {
    let [chosen, rejected] = answers.map(|answer| as_messages(answer, Role::Assistant));
    let (prompt, answers) = match prompt {
        Some(prompt) => (as_messages(prompt, Role::User), [chosen, rejected]),
        None => {
            let shared = shared(&chosen, &rejected);
            (chosen[..shared].to_vec(), [&chosen, &rejected].map(|turns| turns[shared..].to_vec()))
        }
    };
    if prompt.is_empty() {
        return Err(EncodeError::NoPromptInCommon);
    }
    let mut read = |messages: &[Message], asked: bool| {
        let conversation = template.conversation(messages, inputs, Some(tokenizer.control_tokens()))?;
        notes.control_tokens |= conversation.has_said_control_tokens();
        let rendered = conversation.render(messages.len(), asked)?;
        Ok::<_, EncodeError>(tokenizer.spans_of(&rendered, &[])?.0.tokens)
    };
    let asked = read(&prompt, true)?;
    let [chosen, rejected] = answers.map(|answer| read(&[prompt.clone(), answer].concat(), false));
    Ok(Read { asked, whole: [chosen?, rejected?] })
}

/// How much two answers begin with in common. Where one is the beginning of the other, its last part is an answer.
fn shared<T: PartialEq>(one: &[T], other: &[T]) -> usize {
    let shortest = one.len().min(other.len());
    common_length(one, other).min(shortest.saturating_sub(1))
}

fn common_length<T: PartialEq>(one: &[T], other: &[T]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use perennial_types::Row;

    use super::{
        super::testing::{byte_tokenizer, chatml},
        *,
    };

    /// What is said behind the prompt, by each answer, and the prompt.
    fn read(row: &str) -> Result<[String; 3], EncodeError> {
        let (tokenizer, template) = (byte_tokenizer(), chatml());
        let (pair, _) = encode_preference(&Row::parse(row).unwrap().body, &tokenizer, &template, 1000)?;
        let part = |encoded: &Encoded, supervised: bool| {
            let tokens = encoded.tokens.iter().zip(&encoded.supervised).filter(|(_, target)| **target == supervised);
            tokenizer.decode_all(&tokens.map(|(token, _)| *token).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(part(&pair[0], false), part(&pair[1], false));
        Ok([part(&pair[0], false), part(&pair[0], true), part(&pair[1], true)])
    }

    #[test]
    fn a_prompt_that_is_not_given_is_what_both_begin_with() {
        let explicit = read(
            r#"{"prompt": [{"role": "user", "content": "a"}], "chosen": [{"role": "assistant", "content": "b"}],
                "rejected": [{"role": "assistant", "content": "c"}]}"#,
        );
        let implicit = read(
            r#"{"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                "rejected": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "c"}]}"#,
        );
        assert_eq!(explicit, implicit);
        let [_, chosen, rejected] = explicit.unwrap();
        assert!(chosen.starts_with('b') && rejected.starts_with('c') && chosen[1..] == rejected[1..]);

        let [prompt, chosen, rejected] = read(r#"{"chosen": "the big cat", "rejected": "the big dog"}"#).unwrap();
        assert_eq!((prompt.as_str(), &chosen[..4], &rejected[..4]), ("the big", " cat", " dog"));
    }

    #[test]
    fn turns_without_a_common_beginning_ask_for_a_prompt() {
        let apart = read(
            r#"{"chosen": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                "rejected": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "b"}]}"#,
        );
        assert_eq!(apart, Err(EncodeError::NoPromptInCommon));
    }
}
