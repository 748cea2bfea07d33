//! The detectors of what moved in what comes in: a file each, and a line in [`DETECTORS`].

mod centroid;
mod domain_mix;
mod label_mix;
mod length;
mod mmd;
mod new_domain;
mod perplexity;
mod refused;
mod token_frequency;
mod tool_calls;
mod vectors;

use crate::{Comparison, View};

/// In the order in which the status tells of them.
pub static DETECTORS: &[&dyn Detector] = &[
    &domain_mix::DomainMix,
    &new_domain::NewDomain,
    &refused::Refused,
    &mmd::Mmd,
    &centroid::Centroid,
    &length::Length,
    &token_frequency::TokenFrequency,
    &label_mix::LabelMix,
    &tool_calls::ToolCalls,
    &perplexity::Perplexity,
];

/// Tells how far one window of samples is from another, and from which score on that is drift: a pure function of both.
pub trait Detector: Sync {
    /// Its name: a label of metrics.
    fn name(&self) -> &'static str;

    /// What its score means, in a sentence for the status.
    fn meaning(&self) -> &'static str;

    /// What it is asked of.
    fn scope(&self) -> Scope;

    /// What it sees of the two; `None` where one of them has none of it. How much of it there has to be,
    /// [`measure`](crate::measure) says for all.
    fn compare(&self, reference: &View<'_>, current: &View<'_>) -> Option<Comparison>;
}

/// What a detector is asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All samples together.
    Whole,
    /// Each domain of the reference.
    Domain,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use perennial_types::Domain;

    use super::*;
    use crate::{Batch, Random, Row, Window, token_bins};

    fn window(seed: u64) -> Window {
        let mut random = Random::new(seed);
        let domain = Domain::new("a").unwrap();
        let mut row = || Row {
            vector: Some((0..8).map(|_| random.normal() as f32).collect()),
            novelty: Some(random.normal() as f32),
            tokens: 10 + random.below(20),
            bins: token_bins(&(0..30).map(|_| random.below(500)).collect::<Vec<u32>>()),
            label: Some(["yes", "no"][random.below(2) as usize].to_owned()),
            calls: Some(vec!["search".to_owned(); random.below(3) as usize]),
            ..Row::new(domain.clone())
        };
        let rows = (0..100).map(|_| row()).collect();
        let losses = (0..100).map(|_| 2.0 + random.normal()).collect();
        let batches = (0..100).map(|_| Batch { rows: 10, refused: u64::from(random.below(2)) }).collect();
        Window { rows, losses: [(domain, losses)].into(), batches }
    }

    fn views(window: &Window) -> View<'_> {
        View { batches: &window.batches, ..window.of(&Domain::new("a").unwrap()) }
    }

    #[test]
    fn names_differ_and_are_labels() {
        let names: BTreeSet<&str> = DETECTORS.iter().map(|detector| detector.name()).collect();
        assert_eq!(names.len(), DETECTORS.len());
        let is_label = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(names.into_iter().all(is_label));
    }

    #[test]
    fn nothing_is_said_of_nothing_and_a_window_is_not_far_from_itself() {
        let (window, nothing) = (window(1), Window::default());
        for detector in DETECTORS {
            assert!(detector.compare(&nothing.whole(), &views(&window)).is_none(), "{}", detector.name());
            assert!(detector.compare(&views(&window), &nothing.whole()).is_none(), "{}", detector.name());
            let itself = detector.compare(&views(&window), &views(&window)).unwrap();
            assert_eq!((itself.reference, itself.current), (100, 100), "{}", detector.name());
            let (score, threshold) = (itself.observed(), itself.threshold(1e-5, Random::new(3)));
            assert!(score < threshold && score < 1e-6, "{} {score} {threshold}", detector.name());
            assert!(!detector.meaning().is_empty());
        }
    }

    #[test]
    fn nobody_sees_a_difference_between_windows_of_the_same_kind() {
        let (one, other) = (window(1), window(2));
        for detector in DETECTORS {
            let compared = detector.compare(&views(&one), &views(&other)).unwrap();
            let (score, threshold) = (compared.observed(), compared.threshold(1e-5, Random::new(3)));
            assert!(score < threshold, "{} {score} {threshold}", detector.name());
        }
    }
}
