//! The detectors: a file each, and a line in [`DETECTORS`].

mod domain_mix;

use std::collections::BTreeMap;

use perennial_types::Domain;

/// In the order in which the status tells of them.
pub static DETECTORS: &[&dyn Detector] = &[&domain_mix::DomainMix];

/// Tells how far one window of samples is from another.
pub trait Detector: Sync {
    /// Its name: a label of metrics.
    fn name(&self) -> &'static str;

    /// What its score means, in a sentence for the status.
    fn meaning(&self) -> &'static str;

    /// How far `current` is from `reference`; `None` where there is too little of one of them to say.
    fn score(&self, reference: &Window, current: &Window) -> Option<f64>;
}

/// What is known of the samples of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Samples by domain.
    pub domains: BTreeMap<Domain, u64>,
}

impl Window {
    /// How many samples there are.
    pub fn samples(&self) -> u64 {
        self.domains.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_differ_and_are_labels() {
        let names: BTreeSet<&str> = DETECTORS.iter().map(|detector| detector.name()).collect();
        assert_eq!(names.len(), DETECTORS.len());
        let is_label = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(names.into_iter().all(is_label));
    }

    #[test]
    fn nothing_is_said_of_nothing_and_a_window_is_not_far_from_itself() {
        let domain = |name: &str| Domain::new(name).unwrap();
        let window = Window { domains: BTreeMap::from([(domain("a"), 900), (domain("b"), 100)]) };
        for detector in DETECTORS {
            assert_eq!(detector.score(&Window::default(), &window), None, "{}", detector.name());
            assert_eq!(detector.score(&window, &Window::default()), None, "{}", detector.name());
            assert!(detector.score(&window, &window).is_some_and(|score| score.abs() < 1e-12), "{}", detector.name());
            assert!(!detector.meaning().is_empty());
        }
    }
}
