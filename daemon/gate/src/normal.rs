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
pub(crate) fn quantile(probability_below: f64) -> f64 {
    let (mut low, mut high) = (-REACH, REACH);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if probability(middle) < probability_below { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
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
