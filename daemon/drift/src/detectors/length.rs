use super::{Detector, Scope};
use crate::{Comparison, Tail, View, ranks::Ranks};

/// How far lengths have moved: the two-sample Kolmogorov–Smirnov statistic of the rows' tokens, the largest difference of the two
/// shares of rows that are no longer than any length.
pub(super) struct Length;

/// The least difference that is worth telling.
const FLOOR: f64 = 0.05;

impl Detector for Length {
    fn name(&self) -> &'static str {
        "length"
    }

    fn meaning(&self) -> &'static str {
        "Kolmogorov-Smirnov statistic of the rows' tokens: 0 as before, 1 no length in common"
    }

    fn scope(&self) -> Scope {
        Scope::Domain
    }

    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison> {
        let lengths = |view: &View<'_>| view.rows.iter().map(|row| f64::from(row.tokens)).collect::<Vec<_>>();
        let (before, now) = (lengths(reference), lengths(current));
        if before.is_empty() || now.is_empty() {
            return None;
        }
        let ranks = Ranks::new(&before, &now);
        let score = move |reference: &[u32], current: &[u32]| {
            let (before, now) = (ranks.counts(reference), ranks.counts(current));
            let (mut shorter, mut shorter_now, mut largest) = (0, 0, 0.0_f64);
            for (count, count_now) in before.into_iter().zip(now) {
                (shorter, shorter_now) = (shorter + count, shorter_now + count_now);
                let shares =
                    f64::from(shorter_now) / current.len() as f64 - f64::from(shorter) / reference.len() as f64;
                largest = largest.max(shares.abs());
            }
            largest
        };
        let (reference, current) = (before.len(), now.len());
        let score = Box::new(score);
        Some(Comparison { reference, current, tail: Tail::Gaussian, floor: FLOOR, has_ghost: true, score })
    }
}

#[cfg(test)]
mod tests {
    use perennial_types::Domain;

    use super::*;
    use crate::{Row, Window};

    #[test]
    fn the_statistic_is_the_largest_difference_of_the_two_distributions() {
        let window = |lengths: &[u32]| Window {
            rows: lengths.iter().map(|tokens| Row { tokens: *tokens, ..Row::new(Domain::default()) }).collect(),
            ..Window::default()
        };
        let score = |before: &[u32], now: &[u32]| {
            Length.compare(&window(before).whole(), &window(now).whole()).unwrap().observed()
        };
        // By hand: up to 2, three quarters against none; scipy.stats.ks_2samp says the same.
        assert!((score(&[1, 2, 2, 5], &[3, 4, 5, 6]) - 0.75).abs() < 1e-12);
        assert!((score(&[1, 1, 2], &[7, 8]) - 1.0).abs() < 1e-12);
        assert!((score(&[1, 2, 3, 4], &[1, 2, 3, 9]) - 0.25).abs() < 1e-12);
    }
}
