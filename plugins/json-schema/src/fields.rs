use perennial_reward_sdk::{prelude::*, serde_json::Value, text::f1};

use crate::schema::equal;

/// How fields are compared with the reference's.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Compare {
    /// Texts are compared regardless of case and of white space at their ends.
    ignore_case: bool,
    /// Arrays are compared place by place. Else each element is compared with the one it is most like.
    ordered_arrays: bool,
}

/// F1 over the leaves of two documents: the values that are neither objects nor arrays, and empty ones of those. A leaf is
/// right where the reference has the same value in the same place.
pub(crate) fn field_f1(found: &Value, expected: &Value, compare: Compare) -> f64 {
    f1(compare.matched(found, expected), leaves(found), leaves(expected))
}

fn leaves(value: &Value) -> usize {
    let below = match value {
        Value::Object(fields) => fields.values().map(leaves).sum(),
        Value::Array(elements) => elements.iter().map(leaves).sum(),
        _ => 1,
    };
    below.max(1)
}

impl Compare {
    fn matched(self, found: &Value, expected: &Value) -> usize {
        match (found, expected) {
            (Value::Object(found), Value::Object(expected)) if found.is_empty() && expected.is_empty() => 1,
            (Value::Array(found), Value::Array(expected)) if found.is_empty() && expected.is_empty() => 1,
            (Value::Object(found), Value::Object(expected)) => {
                let common = found.iter().filter_map(|(name, value)| Some((value, expected.get(name)?)));
                common.map(|(found, expected)| self.matched(found, expected)).sum()
            }
            (Value::Array(found), Value::Array(expected)) if self.ordered_arrays => {
                found.iter().zip(expected).map(|(found, expected)| self.matched(found, expected)).sum()
            }
            (Value::Array(found), Value::Array(expected)) => self.matched_in_any_order(found, expected),
            (Value::String(found), Value::String(expected)) if self.ignore_case => {
                usize::from(found.trim().to_lowercase() == expected.trim().to_lowercase())
            }
            _ => usize::from(equal(found, expected)),
        }
    }

    // The most alike pairs first, each element in one pair only.
    fn matched_in_any_order(self, found: &[Value], expected: &[Value]) -> usize {
        let mut pairs = Vec::new();
        for (at_found, one) in found.iter().enumerate() {
            for (at_expected, other) in expected.iter().enumerate() {
                let matched = self.matched(one, other);
                if matched > 0 {
                    pairs.push((f1(matched, leaves(one), leaves(other)), at_found, at_expected, matched));
                }
            }
        }
        pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let (mut used_found, mut used_expected) = (vec![false; found.len()], vec![false; expected.len()]);
        let mut total = 0;
        for (_, at_found, at_expected, matched) in pairs {
            if !used_found[at_found] && !used_expected[at_expected] {
                (used_found[at_found], used_expected[at_expected]) = (true, true);
                total += matched;
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::serde_json::json;

    use super::*;

    fn score(found: Value, expected: Value) -> f64 {
        field_f1(&found, &expected, Compare::default())
    }

    #[test]
    fn counts_leaves() {
        assert_eq!(score(json!({"a": 1, "b": {"c": "x"}}), json!({"b": {"c": "x"}, "a": 1.0})), 1.0);
        assert_eq!(score(json!({"a": 1}), json!({"a": 1, "b": 2})), 2.0 / 3.0);
        assert_eq!(score(json!({"a": 1, "z": 0}), json!({"a": 2, "b": 2})), 0.0);
        assert_eq!(score(json!({"a": []}), json!({"a": []})), 1.0);
        assert_eq!(score(json!({"a": []}), json!({"a": ["x"]})), 0.0);
        assert_eq!(score(json!("A"), json!("a")), 0.0);
    }

    #[test]
    fn elements_are_paired_with_the_most_alike() {
        let expected = json!([{"text": "Paris", "type": "place"}, {"text": "Ada", "type": "person"}]);
        let found = json!([{"text": "Ada", "type": "person"}, {"text": "London", "type": "place"}]);
        assert_eq!(score(found.clone(), expected.clone()), 0.75);
        let ordered = Compare { ordered_arrays: true, ignore_case: false };
        assert_eq!(field_f1(&found, &expected, ordered), 0.0);
        assert_eq!(score(json!(["a", "a"]), json!(["a"])), 2.0 / 3.0);
    }

    #[test]
    fn case_can_be_ignored() {
        let compare = Compare { ignore_case: true, ordered_arrays: false };
        assert_eq!(field_f1(&json!({"a": " ADA"}), &json!({"a": "Ada"}), compare), 1.0);
    }
}
