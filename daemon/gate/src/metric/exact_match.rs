/// 1 where both are the same text once blanks at the ends are gone.
pub(crate) fn score(answer: &str, reference: &str) -> f64 {
    f64::from(answer.trim() == reference.trim())
}

/// As [`score`], letter case aside (Unicode lower case).
pub(crate) fn score_ignoring_case(answer: &str, reference: &str) -> f64 {
    score(&answer.to_lowercase(), &reference.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blanks_at_the_ends_are_forgiven() {
        assert_eq!(score(" yes\n", "yes"), 1.0);
        assert_eq!(score("Yes", "yes"), 0.0);
        assert_eq!(score("y es", "yes"), 0.0);
        assert_eq!(score("yes.", "yes"), 0.0);
    }

    #[test]
    fn case_is_forgiven_where_asked() {
        assert_eq!(score_ignoring_case("ÄRGER ", "ärger"), 1.0);
        assert_eq!(score_ignoring_case("no", "yes"), 0.0);
    }
}
