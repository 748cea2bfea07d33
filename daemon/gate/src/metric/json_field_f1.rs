use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::f1;

/// One step from an object's root to a value. List elements share one step, so that lists are compared as multisets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Element,
}

/// How often each (path, value) pair occurs in an object.
type Pairs = BTreeMap<(Vec<Step>, String), usize>;

/// The F1 of the (path, value) pairs of two JSON objects.
///
/// A pair is a scalar (string, number, boolean or null) and the way to it: `{"person": ["Ann", "Bo"]}` has the two pairs
/// (`person[]`, "Ann") and (`person[]`, "Bo"). The order of keys and of list elements does not count, repetition does.
/// Numbers are compared by value (`1` equals `1.0`), strings exactly. Empty lists and objects hold no pair, so leaving a
/// field out equals leaving it empty; two objects without pairs score 1. An answer that is not one JSON object scores 0.
pub(crate) fn score(answer: &str, reference: &str) -> f64 {
    let (Some(answer), Some(reference)) = (parse(answer), parse(reference)) else {
        return 0.0;
    };
    let (answer, reference) = (pairs(answer), pairs(reference));
    let shared = answer.iter().map(|(pair, count)| (*count).min(reference.get(pair).copied().unwrap_or(0))).sum();
    f1(answer.values().sum(), reference.values().sum(), shared)
}

/// Whether the text is one JSON object.
pub(crate) fn is_object(text: &str) -> bool {
    parse(text).is_some()
}

fn parse(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text.trim()).ok()
}

fn pairs(object: Map<String, Value>) -> Pairs {
    let mut pairs = Pairs::new();
    collect(Value::Object(object), &mut Vec::new(), &mut pairs);
    pairs
}

/// Recursion is bounded: serde_json refuses values nested deeper than 128.
fn collect(value: Value, path: &mut Vec<Step>, pairs: &mut Pairs) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                path.push(Step::Key(key));
                collect(value, path, pairs);
                path.pop();
            }
        }
        Value::Array(elements) => {
            path.push(Step::Element);
            for element in elements {
                collect(element, path, pairs);
            }
            path.pop();
        }
        scalar => *pairs.entry((path.clone(), canonical(&scalar))).or_default() += 1,
    }
}

/// A scalar as text that is equal for equal values; JSON's quotes keep `"1"` and `1` apart.
fn canonical(scalar: &Value) -> String {
    match scalar.as_f64() {
        // Above 2^53 neighbouring integers share a float, so those keep their digits.
        Some(number) if number.abs() <= 9_007_199_254_740_992.0 => (number + 0.0).to_string(),
        _ => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pairs_are_matched_by_path_and_value() {
        let reference = r#"{"person": ["Ann", "Bo"], "place": ["Rome"], "other": []}"#;
        assert_eq!(score(reference, reference), 1.0);
        assert_eq!(score(r#"{"place": ["Rome"], "person": ["Bo", "Ann"]}"#, reference), 1.0);
        assert_eq!(score(r#"{"person": ["Ann"]}"#, reference), 0.5);
        assert_eq!(score(r#"{"person": ["Ann", "Ann"]}"#, reference), 2.0 / 5.0);
        assert_eq!(score(r#"{"place": ["Ann"]}"#, reference), 0.0);
        assert_eq!(score(r#"{"person": "Ann"}"#, reference), 0.0, "a scalar is not a list");
    }

    #[test]
    fn what_is_no_object_scores_nothing() {
        for answer in ["", "Ann", "[1]", "{\"a\": 1", "```json\n{\"a\": 1}\n```", "{\"a\": 1} done"] {
            assert_eq!(score(answer, r#"{"a": 1}"#), 0.0, "{answer}");
        }
        assert_eq!(score("{}", r#"{"a": []}"#), 1.0);
        assert_eq!(score(r#"{"a": "x"}"#, r#"{"a": []}"#), 0.0);
    }

    #[test]
    fn scalars_are_compared_by_value_and_type() {
        assert_eq!(score(r#"{"a": 1.0}"#, r#"{"a": 1}"#), 1.0);
        assert_eq!(score(r#"{"a": -0.0}"#, r#"{"a": 0}"#), 1.0);
        assert_eq!(score(r#"{"a": "1"}"#, r#"{"a": 1}"#), 0.0);
        assert_eq!(score(r#"{"a": 9007199254740993}"#, r#"{"a": 9007199254740994}"#), 0.0);
        assert_eq!(score(r#"{"a": null}"#, r#"{"a": "null"}"#), 0.0);
        assert_eq!(score(r#"{"a": {"b": true}}"#, r#"{"a": {"b": true}}"#), 1.0);
        assert_eq!(score(r#"{"a[]": 1}"#, r#"{"a": [1]}"#), 0.0, "a key that looks like a list is a key");
    }

    proptest! {
        #[test]
        fn symmetric_bounded_and_one_for_equals(a in "\\{(\"[ab]\": ?[12],?){0,3}\\}", b in "\\{(\"[ab]\": ?[12],?){0,3}\\}") {
            let forth = score(&a, &b);
            prop_assert!((0.0..=1.0).contains(&forth));
            prop_assert_eq!(forth, score(&b, &a));
            if is_object(&a) {
                prop_assert_eq!(score(&a, &a), 1.0);
            }
        }

        #[test]
        fn any_answer_is_scored_without_panicking(answer in ".{0,200}") {
            let score = score(&answer, r#"{"a": 1}"#);
            prop_assert!((0.0..=1.0).contains(&score));
        }
    }
}
