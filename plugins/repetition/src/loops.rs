/// How many units belong to loops, without each loop's first round: a loop is a stretch of at most `period_max` units that
/// stands at least `repeats_min` times in a row. Where loops overlap, a unit counts once.
pub(crate) fn looped<T: PartialEq>(units: &[T], period_max: usize, repeats_min: usize) -> usize {
    let mut is_looped = vec![false; units.len()];
    for period in 1..=period_max.min(units.len() / 2) {
        mark(units, period, repeats_min, &mut is_looped);
    }
    is_looped.into_iter().filter(|looped| *looped).count()
}

// A loop of a period is a run of units that equal the ones a period before them.
fn mark<T: PartialEq>(units: &[T], period: usize, repeats_min: usize, is_looped: &mut [bool]) {
    let mut start = period;
    while start < units.len() {
        let run = (start..units.len()).take_while(|at| units[*at] == units[at - period]).count();
        if run >= period * (repeats_min - 1) {
            is_looped[start..start + run].fill(true);
        }
        start += run + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looped_chars(text: &str) -> usize {
        looped(&text.chars().collect::<Vec<_>>(), 8, 3)
    }

    #[test]
    fn counts_all_rounds_but_the_first() {
        assert_eq!(looped_chars("abcdef"), 0);
        assert_eq!(looped_chars("abab"), 0);
        assert_eq!(looped_chars("xababab"), 4);
        assert_eq!(looped_chars("aaaa-bcbcbc"), 3 + 4);
        assert_eq!(looped_chars("abcabcabca"), 7);
        assert_eq!(looped_chars(""), 0);
    }
}
