/// Letters that a passage has at least: enough for its trigrams to tell the language.
const PASSAGE_LETTERS: usize = 60;
/// A letter of a script with a sign a syllable or word says as much as this many of an alphabet.
const LETTERS_PER_SIGN: usize = 3;
/// The first character of such scripts: Chinese, Japanese and Korean follow.
const FIRST_SIGN: char = '\u{2e80}';

/// How many letters a text has, signs of Chinese, Japanese and Korean counted as three.
pub(crate) fn letters(text: &str) -> usize {
    let weight = |letter: char| if letter >= FIRST_SIGN { LETTERS_PER_SIGN } else { 1 };
    text.chars().filter(|character| character.is_alphabetic()).map(weight).sum()
}

/// Cuts a text where sentences and lines end, into passages that are long enough to tell the language of each. What is
/// left at the end belongs to the last one.
pub(crate) fn passages(text: &str) -> Vec<&str> {
    let mut passages = Vec::new();
    let mut start = 0;
    for sentence in text.split_inclusive(['\n', '.', '!', '?', '。', '！', '？']) {
        let end = offset(text, sentence) + sentence.len();
        if letters(&text[start..end]) >= PASSAGE_LETTERS {
            passages.push(&text[start..end]);
            start = end;
        }
    }
    if letters(&text[start..]) == 0 {
        return passages;
    }
    let start = passages.pop().map_or(start, |last| offset(text, last));
    passages.push(&text[start..]);
    passages
}

// Where a slice of a text begins in it.
fn offset(text: &str, slice: &str) -> usize {
    slice.as_ptr().addr() - text.as_ptr().addr()
}

/// The text without blocks fenced by three backticks: code has no language of people.
pub(crate) fn without_code(text: &str) -> String {
    text.split("```").step_by(2).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn passages_end_where_sentences_do() {
        let (a, b) = ("A".repeat(70), "b".repeat(65));
        assert_eq!(passages(&format!("{a}. {b}! end")), [format!("{a}."), format!(" {b}! end")]);
        assert_eq!(passages("Short. Too short."), ["Short. Too short."]);
        assert_eq!(passages(" 123 ..."), [""; 0]);
    }

    #[test]
    fn code_is_left_out() {
        assert_eq!(without_code("a ```x\ny``` b"), "a \n b");
        assert_eq!(letters("ab 12, 蜜蜂"), 8);
    }

    proptest! {
        #[test]
        fn passages_are_the_text(text in "[a-z .!\\n]{0,300}") {
            prop_assume!(letters(&text) > 0);
            let passages = passages(&text).concat();
            prop_assert!(text.starts_with(&passages) && letters(&text) == letters(&passages));
        }
    }
}
