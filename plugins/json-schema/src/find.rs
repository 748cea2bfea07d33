use perennial_reward_sdk::serde_json::{Deserializer, Value, from_str};

/// The JSON value that a text is or, where it may be embedded, the first object or array inside it.
///
/// # Errors
/// Why there is none, for people.
pub(crate) fn parse(text: &str, embedded: bool) -> Result<Value, String> {
    let whole = from_str(text.trim()).map_err(|error| format!("no JSON: {error}"));
    if !embedded || whole.is_ok() {
        return whole;
    }
    let starts = text.match_indices(['{', '[']).map(|(at, _)| at);
    starts.filter_map(|at| first(&text[at..])).next().ok_or_else(|| "no JSON object or array in the text".to_owned())
}

fn first(text: &str) -> Option<Value> {
    Deserializer::from_str(text).into_iter().next()?.ok()
}

#[cfg(test)]
mod tests {
    use perennial_reward_sdk::serde_json::json;

    use super::*;

    #[test]
    fn embedded_values_are_found() {
        assert_eq!(parse(" {\"a\": 1}\n", false), Ok(json!({"a": 1})));
        assert_eq!(parse("Sure [sic]: {\"a\": [1]} and {\"b\": 2}", true), Ok(json!({"a": [1]})));
        assert_eq!(parse("```json\n[1, 2]\n```", true), Ok(json!([1, 2])));
        assert!(parse("{\"a\": 1} done", false).unwrap_err().contains("trailing"));
        assert!(parse("none {", true).unwrap_err().contains("no JSON object"));
    }
}
