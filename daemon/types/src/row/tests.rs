use proptest::prelude::*;

use super::*;
use crate::Body;

fn error(line: &str) -> String {
    Row::parse(line).unwrap_err().to_string()
}

#[test]
fn unknown_fields_become_metadata() {
    let row = Row::parse(r#"{"text": "t", "answer": "12", "id": 7, "metadata": {"a": 1}, "none": null}"#).unwrap();
    assert_eq!(row.external_id.as_deref(), Some("7"));
    assert_eq!(Value::Object(row.metadata), serde_json::json!({"a": 1, "answer": "12"}));
}

#[test]
fn numbers_keep_their_digits_or_are_refused() {
    let row = Row::parse(r#"{"text": "t", "reference": 1.10, "id": 12345678901234567890123, "subject": 1e2}"#).unwrap();
    let kept = [row.reference, row.external_id, row.subject].map(Option::unwrap_or_default);
    assert_eq!(kept, ["1.10", "12345678901234567890123", "1e2"]);
    for (line, place) in [
        (r#"{"text": "t", "n": 12345678901234567890123}"#, "`n` is 12345678901234567890123"),
        (r#"{"text": "t", "reference": {"n": [-9223372036854775809]}}"#, "`reference.n[0]` is -9223372036854775809"),
        (
            r#"{"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": {"n": 99999999999999999999}}}]}]}"#,
            "`messages[0].tool_calls[0].function.arguments.n` is 99999999999999999999",
        ),
    ] {
        assert!(error(line).starts_with(place), "{}", error(line));
    }
}

#[test]
fn key_given_twice_is_refused() {
    let twice = r#"{"messages": [{"role": "assistant", "content": "a"}], "messages": []}"#;
    assert_eq!(error(twice), "the key `messages` is given twice: leave one of them");
}

#[test]
fn content_parts_are_joined_and_tool_calls_need_no_content() {
    let row = Row::parse(
        r#"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]}]}"#,
    )
    .unwrap();
    assert_eq!(row.body.text(), "a\nb\n");
}

#[test]
fn errors_say_where_and_how_to_mend() {
    assert!(error("{").starts_with("not valid JSON"));
    assert_eq!(error("[1]"), "a row is a JSON object, not a list");
    assert_eq!(
        error(r#"{"messages": [{"role": "robot", "content": "x"}]}"#),
        r#"`messages[0].role` is "robot": use "system", "user", "assistant" or "tool""#
    );
    assert!(error(r#"{"text": "t", "domain": "a/b"}"#).contains("is not a name"));
}

proptest! {
    #[test]
    fn any_line_is_judged_without_panicking(line in ".{0,200}") {
        let _ = Row::parse(&line);
    }

    #[test]
    fn any_text_survives(text in ".*\\S.*") {
        let line = serde_json::json!({ "text": text }).to_string();
        prop_assert_eq!(Row::parse(&line).unwrap().body, Body::Text { text });
    }
}
