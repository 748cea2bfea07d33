use std::f64::consts::PI;

/// Beyond this many standard deviations a normal variable does not get here.
const REACH: f64 = 8.0;

/// The probability that a standard normal variable is below `z`: Marsaglia's (2004) series, exact to rounding within 8.
pub(crate) fn probability(z: f64) -> f64 {
    if z.abs() > REACH {
        return if z > 0.0 { 1.0 } else { 0.0 };
    }
    let (mut term, mut sum, mut odd) = (z, z, 1.0);
    while term.abs() > 1e-17 * sum.abs() {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    0.5 + sum * (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The `z` that a standard normal variable is below with this probability, above 0 and below 1.
///
/// Newton's steps from 0: above 0 the probability is concave, so they rise towards `z` and never pass it but by rounding.
pub(crate) fn quantile(probability_below: f64) -> f64 {
    if probability_below < 0.5 {
        return -quantile(1.0 - probability_below);
    }
    let mut z = 0.0;
    loop {
        let next = z + (probability_below - probability(z)) * (2.0 * PI).sqrt() * (0.5 * z * z).exp();
        if next.is_nan() || next <= z || next > REACH {
            return z;
        }
        z = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_published_tables() {
        for (probability_below, z) in [
            (0.5, 0.0),
            (0.95, 1.644_853_627),
            (0.975, 1.959_963_985),
            (0.995, 2.575_829_304),
            (0.0001, -3.719_016_485),
        ] {
            assert!((quantile(probability_below) - z).abs() < 1e-8, "{probability_below}");
        }
        assert_eq!((probability(9.0), probability(-9.0)), (1.0, 0.0));
    }
}
