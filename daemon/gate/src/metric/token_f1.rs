use std::collections::BTreeMap;

use super::f1;

/// The F1 of the words that both share, each counted as often as it stands there. The normalisation is that of SQuAD's
/// evaluation script (Rajpurkar 2016): lower case, ASCII punctuation removed, `a`, `an` and `the` removed, split at blanks.
pub(crate) fn score(answer: &str, reference: &str) -> f64 {
    let (answer, reference) = (words(answer), words(reference));
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for word in &reference {
        *left.entry(word).or_default() += 1;
    }
    let shared = answer.iter().filter(|word| take_one(&mut left, word)).count();
    f1(answer.len(), reference.len(), shared)
}

fn take_one(left: &mut BTreeMap<&str, usize>, word: &str) -> bool {
    match left.get_mut(word) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

fn words(text: &str) -> Vec<String> {
    let plain: String = text.to_lowercase().chars().filter(|c| !c.is_ascii_punctuation()).collect();
    plain.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_as_often_as_they_stand_there() {
        assert_eq!(score("The cat, sat!", "a cat sat"), 1.0);
        assert_eq!(score("cat cat", "cat"), 2.0 / 3.0);
        assert_eq!(score("big red dog", "red dog house here"), 4.0 / 7.0);
        assert_eq!(score("dog", "cat"), 0.0);
        assert_eq!(score("", "cat"), 0.0);
        assert_eq!(score("the", "a"), 1.0);
    }
}
