use std::collections::BTreeMap;

/// How often each n-gram occurs.
pub type Counts<'a, T> = BTreeMap<&'a [T], usize>;

/// All runs of `n` tokens, in order; none where `n` is zero.
pub fn ngrams<T>(tokens: &[T], n: usize) -> impl Iterator<Item = &[T]> {
    (n > 0).then(|| tokens.windows(n)).into_iter().flatten()
}

/// Counts the n-grams.
pub fn counts<T: Ord>(tokens: &[T], n: usize) -> Counts<'_, T> {
    let mut counts = Counts::new();
    for ngram in ngrams(tokens, n) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

/// How many n-grams two texts share, each as often as in the one that has it less.
pub fn overlap<T: Ord>(a: &Counts<'_, T>, b: &Counts<'_, T>) -> usize {
    a.iter().map(|(ngram, count)| (*count).min(b.get(ngram).copied().unwrap_or(0))).sum()
}

/// The harmonic mean of precision (`matched / found`) and recall (`matched / expected`); zero where nothing matched.
pub fn f1(matched: usize, found: usize, expected: usize) -> f64 {
    if matched == 0 {
        return 0.0;
    }
    2.0 * matched as f64 / (found + expected) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_shares() {
        let (a, b) = (["x", "y", "x", "y"], ["x", "y", "z"]);
        assert_eq!(overlap(&counts(&a, 1), &counts(&b, 1)), 2);
        assert_eq!(overlap(&counts(&a, 2), &counts(&b, 2)), 1);
        assert_eq!(counts(&a, 2).get(&["x", "y"][..]), Some(&2));
        assert_eq!(ngrams(&a, 0).count() + ngrams(&a, 5).count(), 0);
        assert_eq!((f1(0, 0, 0), f1(2, 4, 2)), (0.0, 2.0 / 3.0));
    }
}
