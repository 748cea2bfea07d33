//! How far the mix of domains has moved: the population stability index (PSI).

use std::collections::BTreeSet;

use perennial_types::Domain;

use super::{Detector, Window};

/// Σ over domains of (q − p)·ln(q / p), with p and q the shares of a domain in reference and current. Each count is raised by
/// [`SMOOTHING`] before shares are taken, over the domains of both windows, so that one that is new or gone counts much and not
/// without bound. Symmetric, 0 for equal shares.
pub(super) struct DomainMix;

/// Half a sample for each domain: Jeffreys' prior of a share.
const SMOOTHING: f64 = 0.5;

/// With fewer samples in a window, chance alone moves the index by more than the meaning of its score allows for: by about
/// (domains − 1)·(1/reference + 1/current).
const SAMPLES_MIN: u64 = 50;

impl Detector for DomainMix {
    fn name(&self) -> &'static str {
        "domain_mix"
    }

    fn meaning(&self) -> &'static str {
        "population stability index of the domains: below 0.1 as before, above 0.25 another mix"
    }

    fn score(&self, reference: &Window, current: &Window) -> Option<f64> {
        if reference.samples().min(current.samples()) < SAMPLES_MIN {
            return None;
        }
        let domains: BTreeSet<&Domain> = reference.domains.keys().chain(current.domains.keys()).collect();
        let share = |window: &Window, domain: &Domain| {
            let count = window.domains.get(domain).copied().unwrap_or_default() as f64;
            (count + SMOOTHING) / (window.samples() as f64 + SMOOTHING * domains.len() as f64)
        };
        let part = |domain: &&Domain| {
            let (before, now) = (share(reference, domain), share(current, domain));
            (now - before) * (now / before).ln()
        };
        Some(domains.iter().map(part).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(counts: &[(&str, u64)]) -> Window {
        Window { domains: counts.iter().map(|(name, count)| (Domain::new(name).unwrap(), *count)).collect() }
    }

    fn psi(reference: &[(&str, u64)], current: &[(&str, u64)]) -> Option<f64> {
        DomainMix.score(&window(reference), &window(current))
    }

    /// Worked out by hand of the smoothed shares.
    #[test]
    fn scores_are_those_of_the_formula() {
        // Shares 80.5/101 and 20.5/101, then 50.5/101 each.
        let (a, b): (f64, f64) = (80.5 / 101.0, 20.5 / 101.0);
        let expected = (0.5 - a) * (0.5 / a).ln() + (0.5 - b) * (0.5 / b).ln();
        let found = psi(&[("a", 80), ("b", 20)], &[("a", 50), ("b", 50)]).unwrap();
        assert!((found - expected).abs() < 1e-12 && (found - 0.406_29).abs() < 1e-4, "{found} {expected}");
        let back = psi(&[("a", 50), ("b", 50)], &[("a", 80), ("b", 20)]).unwrap();
        assert!((found - back).abs() < 1e-12, "symmetric");
    }

    #[test]
    fn a_domain_that_comes_or_goes_counts_much_and_not_without_bound() {
        let comes = psi(&[("a", 1000)], &[("a", 500), ("b", 500)]).unwrap();
        let goes = psi(&[("a", 500), ("b", 500)], &[("a", 1000)]).unwrap();
        assert!(comes > 2.0 && comes < 10.0 && (comes - goes).abs() < 1e-12, "{comes} {goes}");
        assert!(psi(&[("a", 900), ("b", 100)], &[("a", 89), ("b", 11)]).unwrap() < 0.01);
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(psi(&[("a", 49)], &[("a", 1000)]), None);
        assert_eq!(psi(&[("a", 1000)], &[("a", 30), ("b", 19)]), None);
        assert!(psi(&[("a", 50)], &[("a", 50)]).is_some());
    }
}
