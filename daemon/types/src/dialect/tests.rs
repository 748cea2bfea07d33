use serde_json::json;

use super::*;
use crate::{Kind, Row};

fn kind(row: &Value) -> Kind {
    Row::from_value(row.clone()).unwrap_or_else(|error| panic!("{row}: {error}")).body.kind()
}

fn refusal(row: &str) -> String {
    Row::parse(row).unwrap_err().to_string()
}

#[test]
fn each_form_is_read_by_its_own_dialect() {
    let turn = json!([{"role": "user", "content": "q"}]);
    let answer = json!([{"role": "assistant", "content": "a"}]);
    let openai = json!({"input": {"messages": turn}, "preferred_output": answer, "non_preferred_output": answer});
    for (row, read) in [
        (json!({"messages": answer}), Kind::Messages),
        (json!({"messages": turn}), Kind::PromptOnly),
        (json!({"prompt": "p", "completion": "c"}), Kind::PromptCompletion),
        (json!({"prompt": turn, "completion": answer}), Kind::PromptCompletion),
        (json!({"text": "t"}), Kind::Text),
        (json!({"prompt": "p", "chosen": "c", "rejected": "r"}), Kind::Preference),
        (json!({"chosen": answer, "rejected": answer}), Kind::Preference),
        (openai, Kind::Preference),
        (json!({"prompt": "p"}), Kind::PromptOnly),
        (json!({"prompt": turn, "completion": null}), Kind::PromptOnly),
        (json!({"text": "t", "prompt": "metadata"}), Kind::Text),
    ] {
        assert_eq!(kind(&row), read, "{row}");
    }
}

#[test]
fn a_row_of_no_dialect_is_told_what_it_has_and_what_there_is() {
    let told = refusal(r#"{"question": "q", "answer": null}"#);
    assert!(told.starts_with("no dialect reads a row with `question`, `answer`: there are messages"), "{told}");
    for dialect in DIALECTS {
        assert!(told.contains(dialect.name()), "{told}");
    }
    assert!(refusal("{}").starts_with("no dialect reads a row with no fields: "));
    let long = refusal(&json!({"n".repeat(1000): 1}).to_string());
    assert!(long.contains("nnn…") && !long.contains(&"n".repeat(41)), "{long}");
}

#[test]
fn a_row_of_two_dialects_is_told_which() {
    assert_eq!(
        refusal(r#"{"text": "t", "id": 7, "messages": []}"#),
        "the row is ambiguous: with `text`, `id`, `messages` it reads as messages (`messages`) and as text (`text`); leave \
         the fields of one"
    );
    for pair in [
        r#"{"prompt": "p", "completion": "c", "chosen": "c", "rejected": "r"}"#,
        r#"{"completion": "c", "messages": []}"#,
        r#"{"chosen": "c", "text": "t"}"#,
    ] {
        assert!(refusal(pair).starts_with("the row is ambiguous"), "{pair}: {}", refusal(pair));
    }
}

#[test]
fn a_field_that_is_wanting_is_named() {
    for (row, told) in [
        (r#"{"completion": "c"}"#, "`prompt` is missing"),
        (r#"{"prompt": "p", "completion": ""}"#, "`completion` is empty: there is nothing to learn"),
        (r#"{"prompt": 1}"#, "`prompt` must be a string or a list of messages, not a number"),
        (r#"{"text": " "}"#, "`text` is empty: there is nothing to learn"),
        (r#"{"chosen": "a"}"#, "`rejected` is missing"),
        (r#"{"prompt": "p", "rejected": "a"}"#, "`chosen` is missing"),
        (r#"{"messages": []}"#, "`messages` is an empty list: give at least one message"),
        (r#"{"messages": ["a"]}"#, "`messages[0]` must be an object with `role` and `content`, not a string"),
        (r#"{"input": "q", "preferred_output": []}"#, "`input` must be an object with `messages`, not a string"),
    ] {
        assert_eq!(refusal(row), told, "{row}");
    }
}
