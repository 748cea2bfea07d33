use perennial_types::{Body, Content, Message, Role, Row};
use proptest::prelude::*;

use super::{
    ChatTemplate, EncodeError, Encoded, encode, encode_prompt,
    testing::{byte_tokenizer, chatml, special_tokens},
};

const EVERYTHING: usize = 10_000;

fn encoded(line: &str, template: &ChatTemplate) -> Result<Encoded, EncodeError> {
    encode(&Row::parse(line).unwrap().body, &byte_tokenizer(), template, EVERYTHING)
}

/// What is learned, stretch by stretch, end tokens as `$`.
fn learned(encoded: &Encoded) -> Vec<String> {
    let tokenizer = byte_tokenizer();
    let dollar = tokenizer.encode("$").unwrap()[0];
    let pairs: Vec<(u32, bool)> = encoded.tokens.iter().copied().zip(encoded.supervised.iter().copied()).collect();
    let stretches = pairs.chunk_by(|one, next| one.1 == next.1).filter(|stretch| stretch[0].1);
    let text = |stretch: &[(u32, bool)]| {
        let tokens: Vec<u32> = stretch.iter().map(|(token, _)| if *token == 257 { dollar } else { *token }).collect();
        tokenizer.decode(&tokens).unwrap()
    };
    stretches.map(text).collect()
}

#[test]
fn assistant_turns_are_learned_with_the_token_that_ends_them() {
    let line = r#"{"messages": [
        {"role": "user", "content": "q1"}, {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "a1"}, {"role": "assistant", "content": "a2", "weight": 0},
        {"role": "user", "content": "q3"}, {"role": "assistant", "content": "a3"}]}"#;
    assert_eq!(learned(&encoded(line, &chatml()).unwrap()), ["a1$", "a3$"]);
}

#[test]
fn a_conversation_may_open_with_the_assistant() {
    let line = r#"{"messages": [{"role": "assistant", "content": "hello"}, {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"}]}"#;
    assert_eq!(learned(&encoded(line, &chatml()).unwrap()), ["hello$", "a$"]);
    let source = "{% if messages and messages[0].role != 'system' %}<|im_start|>system\nBe kind<|im_end|>\n{% endif %}";
    let template = ChatTemplate::new(Some(&format!("{source}{}", chatml().source().unwrap())), &special_tokens());
    assert_eq!(learned(&encoded(line, &template).unwrap()), ["hello$", "a$"]);
}

#[test]
fn a_template_may_drop_thoughts_from_earlier_turns() {
    // As Qwen 3 does: the last turn has a place for thoughts, the ones before it have none.
    let source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and loop.last %}<think>\n\
                  </think>\n{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>\
                  assistant\n{% endif %}";
    let template = ChatTemplate::new(Some(source), &special_tokens());
    let line = r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a1"},
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "a2"}]}"#;
    assert_eq!(learned(&encoded(line, &template).unwrap()), ["a1$", "<think>\n</think>\na2$"]);
}

#[test]
fn a_turn_that_cannot_be_found_is_an_error() {
    let template = ChatTemplate::new(Some("{{ messages | length }}"), &special_tokens());
    let line = r#"{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}"#;
    assert_eq!(encoded(line, &template), Err(EncodeError::TurnNotFound { turn: 1 }));
    let absent = ChatTemplate::new(None, &special_tokens());
    assert_eq!(encoded(line, &absent), Err(EncodeError::NoChatTemplate));
}

#[test]
fn completions_and_texts_are_learned_with_their_end() {
    let text = encoded(r#"{"prompt": "2+2=", "completion": "4"}"#, &chatml()).unwrap();
    assert_eq!(learned(&text), ["4$"]);
    let ended = encoded(r#"{"prompt": "2+2=", "completion": "4<|im_end|>"}"#, &chatml()).unwrap();
    assert_eq!(ended, text);
    let turns =
        r#"{"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}"#;
    // As TRL: all that the template writes after the prompt.
    assert_eq!(learned(&encoded(turns, &chatml()).unwrap()), ["a$\n"]);
    let mixed = r#"{"prompt": [{"role": "user", "content": "q"}], "completion": "a"}"#;
    assert_eq!(encoded(mixed, &chatml()), encoded(turns, &chatml()));
    // Nothing predicts the first token, so it is no target.
    assert_eq!(learned(&encoded(r#"{"text": "abc"}"#, &chatml()).unwrap()), ["bc$"]);
}

#[test]
fn cutting_keeps_the_start_and_must_leave_something_to_learn() {
    let body = Row::parse(r#"{"prompt": "abc", "completion": "def"}"#).unwrap().body;
    let cut = |length_max| encode(&body, &byte_tokenizer(), &chatml(), length_max);
    let five = cut(5).unwrap();
    assert_eq!((five.tokens.len(), learned(&five)), (5, vec!["de".to_owned()]));
    assert_eq!(cut(3), Err(EncodeError::NothingSupervised { length_max: 3 }));
    assert_eq!(cut(0), Err(EncodeError::NothingSupervised { length_max: 0 }));
}

#[test]
fn kinds_without_one_right_answer_are_refused() {
    for line in [r#"{"prompt": "p"}"#, r#"{"prompt": "p", "chosen": "a", "rejected": "b"}"#] {
        let body = Row::parse(line).unwrap().body;
        assert_eq!(encode(&body, &byte_tokenizer(), &chatml(), 9), Err(EncodeError::NotSupervised(body.kind())));
    }
}

#[test]
fn a_prompt_ends_where_the_assistant_begins() {
    let tokenizer = byte_tokenizer();
    let turns = Content::Messages(vec![Message::new(Role::User, "q")]);
    let tokens = encode_prompt(&turns, &tokenizer, &chatml()).unwrap();
    assert_eq!(tokens, tokenizer.encode("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n").unwrap());
    assert_eq!(
        encode_prompt(&Content::Text("q".to_owned()), &tokenizer, &chatml()),
        tokenizer.encode("q").map_err(Into::into)
    );
}

proptest! {
    #[test]
    fn any_conversation_is_learned_turn_by_turn(turns in prop::collection::vec(("[^<]{0,12}", "[^<]{1,12}"), 1..4)) {
        let mut messages = Vec::new();
        let mut expected = Vec::new();
        for (question, answer) in turns {
            messages.push(Message::new(Role::User, question));
            expected.push(format!("{answer}$"));
            messages.push(Message::new(Role::Assistant, answer));
        }
        let body = Body::Messages { messages, tools: None };
        let encoded = encode(&body, &byte_tokenizer(), &chatml(), EVERYTHING).unwrap();
        prop_assert_eq!(encoded.supervised.len(), encoded.tokens.len());
        prop_assert_eq!(learned(&encoded), expected);
    }
}
