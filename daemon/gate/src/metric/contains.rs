/// 1 where the reference stands in the answer as whole words, letter case aside: `4` is in "It is 4.", not in "42".
pub(crate) fn score(answer: &str, reference: &str) -> f64 {
    let (answer, reference) = (answer.to_lowercase(), reference.trim().to_lowercase());
    f64::from(answer.match_indices(&reference).any(|(at, found)| stands_alone(&answer, at, at + found.len())))
}

/// Whether neither end of `text[start..end]` cuts through a word or a number.
fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let (before, within, after) = (&text[..start], &text[start..end], &text[end..]);
    let cuts = |left: Option<char>, right: Option<char>| {
        left.is_some_and(char::is_alphanumeric) && right.is_some_and(char::is_alphanumeric)
    };
    !cuts(before.chars().next_back(), within.chars().next()) && !cuts(within.chars().next_back(), after.chars().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_are_found_and_parts_of_words_are_not() {
        assert_eq!(score("The capital is Paris.", "paris"), 1.0);
        assert_eq!(score("#### 42", "42"), 1.0);
        assert_eq!(score("421 or 42", "42"), 1.0);
        assert_eq!(score("421", "42"), 0.0);
        assert_eq!(score("142", "42"), 0.0);
        assert_eq!(score("cost: $3", "$3"), 1.0);
        assert_eq!(score("", "x"), 0.0);
    }
}
