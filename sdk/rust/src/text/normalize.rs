use schemars::JsonSchema;
use serde::Deserialize;

/// What does not matter when two answers are compared. Runs of white space always count as one space, and none at the
/// ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Normalize {
    /// Upper and lower case are the same.
    pub ignore_case: bool,
    /// ASCII punctuation is left out.
    pub ignore_punctuation: bool,
    /// The words a, an and the are left out.
    pub ignore_articles: bool,
}

impl Default for Normalize {
    fn default() -> Self {
        Self { ignore_case: true, ignore_punctuation: true, ignore_articles: false }
    }
}

impl Normalize {
    /// As SQuAD's evaluation script normalises answers.
    pub const SQUAD: Self = Self { ignore_case: true, ignore_punctuation: true, ignore_articles: true };

    /// The text without what does not matter.
    pub fn apply(self, text: &str) -> String {
        let text = if self.ignore_case { text.to_lowercase() } else { text.to_owned() };
        let kept: String =
            text.chars().filter(|character| !self.ignore_punctuation || !character.is_ascii_punctuation()).collect();
        let kept = if self.ignore_articles { without_articles(&kept) } else { kept };
        kept.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The tokens that SQuAD's F1 counts.
pub fn squad_tokens(text: &str) -> Vec<String> {
    Normalize::SQUAD.apply(text).split(' ').filter(|token| !token.is_empty()).map(str::to_owned).collect()
}

// An article is one wherever a word could end, as in `the–end`.
fn without_articles(text: &str) -> String {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|character| !is_word(character)).unwrap_or(rest.len()));
        kept.push_str(if is_article(word) { " " } else { word });
        let (between, next) = after.split_at(after.find(is_word).unwrap_or(after.len()));
        kept.push_str(between);
        rest = next;
    }
    kept
}

fn is_article(word: &str) -> bool {
    ["a", "an", "the"].iter().any(|article| word.eq_ignore_ascii_case(article))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_does_not_matter() {
        assert_eq!(Normalize::default().apply("  The  Eiffel-Tower! "), "the eiffeltower");
        assert_eq!(Normalize::SQUAD.apply("The U.S. and a dog"), "us and dog");
        assert_eq!(Normalize::SQUAD.apply("the–end, another"), "–end another");
        let exact = Normalize { ignore_case: false, ignore_punctuation: false, ignore_articles: false };
        assert_eq!(exact.apply("A  b."), "A b.");
    }
}
