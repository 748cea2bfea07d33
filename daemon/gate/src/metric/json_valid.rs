use serde::de::IgnoredAny;

/// 1 where the answer is one JSON value (RFC 8259) with nothing but blanks around it: a code fence is not forgiven, since
/// what reads the answer in production would choke on it.
pub(crate) fn score(answer: &str, _reference: &str) -> f64 {
    f64::from(serde_json::from_str::<IgnoredAny>(answer.trim()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_and_nothing_else() {
        assert_eq!(score(" {\"a\": [1, null]}\n", ""), 1.0);
        assert_eq!(score("```json\n{}\n```", ""), 0.0);
        assert_eq!(score("{} {}", ""), 0.0);
        assert_eq!(score("{'a': 1}", ""), 0.0);
        assert_eq!(score("", ""), 0.0);
    }
}
