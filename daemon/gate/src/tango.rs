//! Tango's (1998) score interval for the difference of two paired shares.

/// The lower bound of the true difference at `z` standard errors, of `n` yes/no items of which so many were gained and lost.
///
/// It is the difference at which the score test sits on its edge: the standard error is that under the difference itself,
/// with the share of losses estimated under it. So all ties bound the loss too, by about `z² / n`. The bound rises with a
/// gain more and with a loss less.
pub(crate) fn lower_bound(n: usize, gains: usize, losses: usize, z: f64) -> f64 {
    let (mut low, mut high) = (-1.0, (gains as f64 - losses as f64) / n as f64);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if score(n as f64, gains as f64, losses as f64, middle) > z { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Standard errors between what was seen and a true difference of `delta`, which lies below it.
fn score(n: f64, gains: f64, losses: f64, delta: f64) -> f64 {
    let linear = -gains - losses + (2.0 * n - gains + losses) * delta;
    let constant = -losses * delta * (1.0 - delta);
    let lost = ((linear * linear - 8.0 * n * constant).max(0.0).sqrt() - linear) / (4.0 * n);
    let variance = n * (2.0 * lost + delta * (1.0 - delta));
    let distance = gains - losses - n * delta;
    if variance <= 0.0 { if distance > 0.0 { f64::INFINITY } else { 0.0 } } else { distance / variance.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal;

    #[test]
    fn all_ties_bound_the_loss_by_the_closed_form() {
        for n in [1, 20, 51, 52, 1000] {
            let z = normal::quantile(0.95);
            let closed = -z * z / (n as f64 + z * z);
            assert!((lower_bound(n, 0, 0, z) - closed).abs() < 1e-9, "{n}");
        }
        let passes = |n, gains, losses| lower_bound(n, gains, losses, normal::quantile(0.95)) >= -0.05;
        assert!(passes(52, 0, 0) && !passes(51, 0, 0));
        assert!(passes(32, 1, 0) && !passes(31, 1, 0));
        assert!(passes(87, 0, 1) && !passes(86, 0, 1));
    }

    #[test]
    fn on_many_items_it_is_the_normal_bound() {
        let (n, gains, losses, z) = (100_000, 6000, 5000, 1.644_853_6);
        let (share, mean) = (11_000.0 / n as f64, 1000.0 / n as f64);
        let normal = mean - z * ((share - mean * mean) / n as f64).sqrt();
        assert!((lower_bound(n, gains, losses, z) - normal).abs() < 1e-4);
    }

    #[test]
    fn a_gain_more_or_a_loss_less_never_lowers_the_bound() {
        for n in [1, 2, 5, 20, 60, 200] {
            for z in [1.28, 1.645, 2.576, 3.09] {
                for gains in 0..n {
                    for losses in 0..(n - gains) {
                        let here = lower_bound(n, gains, losses, z);
                        assert!(lower_bound(n, gains + 1, losses, z) >= here - 1e-9, "{n} {gains} {losses} {z}");
                        assert!(lower_bound(n, gains, losses + 1, z) <= here + 1e-9, "{n} {gains} {losses} {z}");
                    }
                }
            }
        }
    }
}
