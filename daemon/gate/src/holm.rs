/// Which of several findings hold at this level for all of them together (Holm 1979): the chance that any of them holds by
/// chance alone is at most `level`. A chance that rises never makes a finding more.
pub(crate) fn shown(chances: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|a, b| chances[*a].total_cmp(&chances[*b]));
    let mut shown = vec![false; chances.len()];
    for (before, at) in order.into_iter().enumerate() {
        shown[at] = chances[at] <= level / (chances.len() - before) as f64;
        if !shown[at] {
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_is_held_to_the_whole_family_and_the_next_to_the_rest() {
        assert_eq!(shown(&[0.03, 0.016, 0.2], 0.05), [false, true, false]);
        assert_eq!(shown(&[0.024, 0.016, 0.2], 0.05), [true, true, false]);
        assert_eq!(shown(&[0.017, 0.018, 0.02], 0.05), [false; 3]);
        assert_eq!(shown(&[0.05], 0.05), [true]);
        assert_eq!(shown(&[f64::NAN], 0.05), [false]);
        assert!(shown(&[], 0.05).is_empty());
    }
}
