//! Shares of categories in two windows, and how far they are from each other: the population stability index (PSI).

use std::collections::BTreeMap;

use crate::{Comparison, Tail};

/// Categories that are told apart at most; all others are one.
const CATEGORIES_MAX: usize = 64;

/// A category with less in the reference is one with the others: so few come and go by chance. The usual rule of a chi-squared test.
const EXPECTED_MIN: f64 = 5.0;

/// Half a unit of the smaller window for each category, as Jeffreys' prior of a share.
const SMOOTHING: f64 = 0.5;

/// The least index that is worth telling.
const FLOOR: f64 = 0.02;

/// Compares units, each with its shares of categories, which sum to 1.
///
/// The index is Σ over categories of (q − p)·ln(q / p), with p and q the mean shares of reference and current. Each category is raised
/// by [`SMOOTHING`] units of the smaller window before, so that one that is new or gone counts much and not without bound. Symmetric, 0 for equal shares.
/// Where nothing moved it is about chi-squared times (1/reference + 1/current).
pub(crate) fn compare<K: Ord + Clone>(reference: &[Vec<(K, f32)>], current: &[Vec<(K, f32)>]) -> Comparison {
    let mut sums: BTreeMap<&K, f64> = BTreeMap::new();
    for (category, share) in reference.iter().flatten() {
        *sums.entry(category).or_default() += f64::from(*share);
    }
    let mut known: Vec<(&K, f64)> = sums.into_iter().filter(|(_, sum)| *sum >= EXPECTED_MIN).collect();
    known.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    known.truncate(CATEGORIES_MAX - 1);
    // The first is for all that is not known.
    let places: BTreeMap<&K, u16> = known.iter().zip(1..).map(|((category, _), place)| (*category, place)).collect();
    let categories = known.len() + 1;
    let place = |(category, share): &(K, f32)| (places.get(category).copied().unwrap_or(0), *share);
    let placed = |unit: &Vec<(K, f32)>| unit.iter().map(place).collect::<Vec<(u16, f32)>>();
    let mut units: Vec<Vec<(u16, f32)>> = reference.iter().chain(current).map(placed).collect();
    units.push(vec![(0, 1.0)]);
    let least = SMOOTHING / reference.len().min(current.len()) as f64;
    let shares = move |drawn: &[u32]| {
        let least = least * drawn.len() as f64;
        let mut shares = vec![least; categories];
        for unit in drawn {
            for (category, share) in &units[*unit as usize] {
                shares[usize::from(*category)] += f64::from(*share);
            }
        }
        let all = drawn.len() as f64 + least * categories as f64;
        shares.iter_mut().for_each(|share| *share /= all);
        shares
    };
    let score = move |reference: &[u32], current: &[u32]| index(&shares(reference), &shares(current));
    Comparison {
        reference: reference.len(),
        current: current.len(),
        tail: Tail::Exponential,
        floor: FLOOR,
        has_ghost: true,
        score: Box::new(score),
    }
}

/// The index of shares that are above 0.
fn index(reference: &[f64], current: &[f64]) -> f64 {
    reference.iter().zip(current).map(|(before, now)| (now - before) * (now / before).ln()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(counts: &[(&'static str, usize)]) -> Vec<Vec<(&'static str, f32)>> {
        counts.iter().flat_map(|(name, count)| vec![vec![(*name, 1.0)]; *count]).collect()
    }

    fn psi(reference: &[(&'static str, usize)], current: &[(&'static str, usize)]) -> f64 {
        compare(&units(reference), &units(current)).observed()
    }

    /// Worked out by hand of the smoothed shares.
    #[test]
    fn scores_are_those_of_the_formula() {
        // Shares 80.5/101.5, 20.5/101.5 and 0.5/101.5 for all others, then 50.5/101.5 twice.
        let (a, b, now): (f64, f64, f64) = (80.5 / 101.5, 20.5 / 101.5, 50.5 / 101.5);
        let expected = (now - a) * (now / a).ln() + (now - b) * (now / b).ln();
        let found = psi(&[("a", 80), ("b", 20)], &[("a", 50), ("b", 50)]);
        assert!((found - expected).abs() < 1e-12 && (found - 0.404_3).abs() < 1e-4, "{found} {expected}");
        let back = psi(&[("a", 50), ("b", 50)], &[("a", 80), ("b", 20)]);
        assert!((found - back).abs() < 1e-12, "symmetric");
    }

    #[test]
    fn a_category_that_comes_or_goes_counts_much_and_not_without_bound() {
        let comes = psi(&[("a", 1000)], &[("a", 500), ("b", 500)]);
        let goes = psi(&[("a", 500), ("b", 500)], &[("a", 1000)]);
        assert!(comes > 2.0 && comes < 10.0 && (comes - goes).abs() < 0.1, "{comes} {goes}");
        assert!(psi(&[("a", 900), ("b", 100)], &[("a", 89), ("b", 11)]) < 0.01);
    }

    #[test]
    fn what_the_reference_has_hardly_any_of_is_one_with_the_unknown() {
        let many: Vec<Vec<(u32, f32)>> = (0..1000_u32).map(|n| vec![(n, 1.0)]).collect();
        let others: Vec<Vec<(u32, f32)>> = (1000..2000_u32).map(|n| vec![(n, 1.0)]).collect();
        assert!(compare(&many, &others).observed().abs() < 1e-12);
    }
}
