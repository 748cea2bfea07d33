//! The test of harm and of gains: if champion and candidate were alike, each difference would be as likely with the other
//! sign (Fisher 1935). Of yes/no scores this is McNemar's exact test.

use crate::random::Random;

/// Flips at most: enough for the levels of Holm over some hundred suites.
const FLIPS_MAX: usize = 20_000;
/// With so many flips as low as what was seen, the rest would change nothing (Besag and Clifford 1991).
const HITS_ENOUGH: usize = 200;
/// Sums that differ by less are equal but for rounding.
const ROUNDING: f64 = 1e-9;

/// The chance of so many losses or more among `gains + losses` items, each of them as likely a gain.
pub(crate) fn binomial(gains: usize, losses: usize) -> f64 {
    let n = gains + losses;
    if 2 * gains >= n {
        // The other tail is the shorter sum; it has the items that are fewer.
        return if losses == 0 { 1.0 } else { 1.0 - lower_tail(n, losses - 1) };
    }
    lower_tail(n, gains)
}

/// The chance that a binomial number of `n` fair draws is at most `k`, for `k < n / 2`.
fn lower_tail(n: usize, k: usize) -> f64 {
    let log = ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k) - n as f64 * std::f64::consts::LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for at in (1..=k).rev() {
        term *= at as f64 / (n - at + 1) as f64;
        sum += term;
    }
    (log.exp() * sum).min(1.0)
}

fn ln_factorial(n: usize) -> f64 {
    if n < 32 {
        return (2..=n).map(|at| (at as f64).ln()).sum();
    }
    let x = n as f64 + 1.0;
    // Stirling's series.
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3))
        + 1.0 / (1260.0 * x.powi(5))
}

/// The chance of a sum as low as that of `units` (items or clusters) if each had a random sign.
///
/// A flipped unit takes twice its value from the sum, so the sum is as low where the flipped ones are together not below 0.
/// Which are flipped depends on the seed and on where a unit stands alone, so a unit that rises never lowers the chance.
pub(crate) fn sampled(units: &[f64], mut random: Random) -> f64 {
    let nonzero: Vec<(usize, f64)> = units.iter().copied().enumerate().filter(|(_, value)| *value != 0.0).collect();
    let mut flipped = vec![0_u64; units.len().div_ceil(64)];
    let mut hits = 0;
    for drawn in 1..=FLIPS_MAX {
        flipped.iter_mut().for_each(|word| *word = random.next());
        let is_flipped = |at: usize| flipped[at / 64] >> (at % 64) & 1 == 1;
        let sum: f64 = nonzero.iter().filter(|(at, _)| is_flipped(*at)).map(|(_, value)| value).sum();
        hits += usize::from(sum >= -ROUNDING);
        if hits == HITS_ENOUGH {
            return hits as f64 / drawn as f64;
        }
    }
    (hits + 1) as f64 / (FLIPS_MAX + 1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn binomial_is_mcnemars_exact_test() {
        assert_eq!(binomial(0, 0), 1.0);
        assert_eq!(binomial(1, 0), 1.0);
        assert!((binomial(0, 1) - 0.5).abs() < 1e-12);
        assert!((binomial(0, 5) - 1.0 / 32.0).abs() < 1e-12);
        // By hand: (1 + 10 + 45) / 1024.
        assert!((binomial(2, 8) - 56.0 / 1024.0).abs() < 1e-12);
        assert!((binomial(8, 2) - (1.0 - 11.0 / 1024.0)).abs() < 1e-12);
        // P(X <= 40) of Bin(100, ½).
        assert!((binomial(40, 60) - 0.028_443_966_820_490_4).abs() < 1e-9);
    }

    #[test]
    fn sampled_flips_come_to_the_binomial() {
        for (gains, losses) in [(0, 5), (2, 8), (40, 60), (60, 40), (3, 0)] {
            let units: Vec<f64> = [vec![1.0; gains], vec![0.0; 9], vec![-1.0; losses]].concat();
            let (sampled, exact) = (sampled(&units, Random(7)), binomial(gains, losses));
            assert!((sampled / exact - 1.0).abs() < 0.2, "{gains} {losses}: {sampled} {exact}");
        }
        assert_eq!(sampled(&[], Random(0)), 1.0);
        assert_eq!(sampled(&[0.0; 70], Random(0)), 1.0);
    }

    proptest! {
        #[test]
        fn a_unit_that_rises_never_lowers_the_chance(
            units in prop::collection::vec(-8..8_i32, 1..80), at in 0..80_usize, by in 1..9_i32, seed in 0..9_u64,
        ) {
            let values = |units: &[i32]| units.iter().map(|unit| f64::from(*unit) / 8.0).collect::<Vec<_>>();
            let mut risen = units.clone();
            let at = at % units.len();
            risen[at] += by;
            prop_assert!(sampled(&values(&risen), Random(seed)) >= sampled(&values(&units), Random(seed)));
        }

        #[test]
        fn a_gain_more_or_a_loss_less_never_lowers_the_chance(gains in 0..60_usize, losses in 0..60_usize) {
            prop_assert!(binomial(gains + 1, losses) >= binomial(gains, losses) - 1e-12);
            prop_assert!(binomial(gains, losses) >= binomial(gains, losses + 1) - 1e-12);
        }
    }
}
