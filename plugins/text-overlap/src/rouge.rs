use std::collections::BTreeMap;

use perennial_reward_sdk::text::f1;

use crate::tokens::rouge_words;

/// ROUGE-L (Lin 2004) as the package rouge-score computes it, without stemming: the F-measure of the longest common
/// subsequence of words.
pub(crate) fn rouge_l(answer: &str, reference: &str) -> f64 {
    let (answer, reference) = (rouge_words(answer), rouge_words(reference));
    // Numbers compare faster than words, and each pair of words is compared.
    let mut ids = BTreeMap::new();
    let mut numbered = |words: &[String]| -> Vec<usize> {
        let id = |word: &String| {
            let next = ids.len();
            *ids.entry(word.clone()).or_insert(next)
        };
        words.iter().map(id).collect()
    };
    let (answer, reference) = (numbered(&answer), numbered(&reference));
    f1(longest_common_subsequence(&answer, &reference), answer.len(), reference.len())
}

fn longest_common_subsequence(a: &[usize], b: &[usize]) -> usize {
    // The lengths for all beginnings of b and one beginning of a.
    let mut lengths = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (at, y) in b.iter().enumerate() {
            let above = lengths[at + 1];
            lengths[at + 1] = if x == y { diagonal + 1 } else { above.max(lengths[at]) };
            diagonal = above;
        }
    }
    lengths[b.len()]
}
