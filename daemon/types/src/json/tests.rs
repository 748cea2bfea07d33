use proptest::prelude::*;

use super::*;

fn error(text: &str) -> String {
    parse(text, &[]).unwrap_err().to_string()
}

#[test]
fn integers_beyond_64_bits_are_refused_where_they_stand_and_kept_where_they_are_text() {
    let digits = "340282366920938463463374607431768211455";
    let text = format!(r#"{{"id": {digits}, "a \"1": ["x2", {{"b": {digits}}}]}}"#);
    assert_eq!(
        error(&text.replace("\"id\": 340282366920938463463374607431768211455, ", "")),
        format!("`a \"1[1].b` is {digits}, an integer beyond 64 bits, which would lose digits: write it as a string")
    );
    let kept = parse(&text.replace(&format!("{{\"b\": {digits}}}"), "1.10"), &["id"]).unwrap();
    assert_eq!(kept["id"], digits);
    assert_eq!(kept["a \"1"][1].to_string(), "1.1");
    for (text, fits) in [
        ("18446744073709551615", true),
        ("18446744073709551616", false),
        ("-9223372036854775808", true),
        ("-9223372036854775809", false),
        ("1e30", true),
        ("123456789012345678901234567890.5", true),
    ] {
        assert_eq!(parse(text, &[]).is_ok(), fits, "{text}");
    }
    assert_eq!(parse("-0", &[]).unwrap().to_string(), "0");
}

#[test]
fn only_numbers_right_below_the_top_are_kept_as_written() {
    let value = parse(r#"{"id": 1e2, "reference": -0.50, "in": {"id": 7}, "ids": [1]}"#, &["id", "reference"]);
    assert_eq!(value.unwrap(), serde_json::json!({"id": "1e2", "reference": "-0.50", "in": {"id": 7}, "ids": [1]}));
}

#[test]
fn key_given_twice_is_named_with_its_place() {
    assert_eq!(error(r#"{"a": [1, {"b": 1, "b": 1}]}"#), "the key `a[1].b` is given twice: leave one of them");
    assert!(parse(r#"{"a": {"b": 1}, "b": 1}"#, &[]).is_ok());
    assert!(error(r#"{"a\u0062": 1, "ab": 2}"#).contains("`ab` is given twice"));
}

#[test]
fn nesting_ends_at_the_bound() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(NESTING_MAX), &[]).is_ok());
    assert!(error(&nested(NESTING_MAX + 1)).contains("nested more than 64 deep"));
    assert!(error(&nested(100_000)).len() < 300);
}

#[test]
fn what_is_no_json_is_told_with_its_place() {
    assert!(error("{\"a\": NaN}").starts_with("not valid JSON: expected value at line 1 column"));
    assert!(error("{} x").starts_with("not valid JSON: trailing characters"));
    assert!(error("1e999").starts_with("not valid JSON"));
}

proptest! {
    #[test]
    fn any_text_is_judged_without_panicking(text in r#"[\[\]{}",:0-9eE.\\a-]{0,60}"#) {
        let _ = parse(&text, &["a"]);
    }

    #[test]
    fn agrees_with_the_plain_reader(numbers in prop::collection::vec(any::<i64>(), 0..9), text in ".*", float in any::<f64>()) {
        let value = serde_json::json!({"n": numbers, text.clone(): {"t": text, "f": float, "none": null, "yes": true}});
        prop_assert_eq!(parse(&value.to_string(), &[]).unwrap(), serde_json::from_str::<Value>(&value.to_string()).unwrap());
    }
}
