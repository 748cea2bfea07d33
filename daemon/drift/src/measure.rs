//! All detectors together.

use std::collections::BTreeMap;

use perennial_types::Domain;

use crate::{Comparison, DETECTORS, Detector, FALSE_ALARM_DAYS, FALSE_ALARMS, Random, Scope, View, Window};

/// With fewer units in a window nothing is said: chance alone moves such scores by more than their meaning allows for.
pub const SAMPLES_MIN: usize = 50;

/// Domains that are looked at one by one: the largest of the reference. Bounds time, and the labels of metrics.
pub const DOMAINS_MAX: usize = 16;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// What one detector found, of all samples or of a domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its name.
    pub detector: &'static str,
    /// What the score means.
    pub meaning: &'static str,
    /// The domain; `None` is all samples.
    pub domain: Option<Domain>,
    /// Score and threshold; `None` where there is too little to say.
    pub score: Option<(f64, f64)>,
}

impl Finding {
    /// Whether the score is beyond its threshold.
    pub fn is_drift(&self) -> bool {
        self.score.is_some_and(|(score, threshold)| score > threshold)
    }
}

/// What all detectors found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// In the order of [`DETECTORS`], each by domain.
    pub findings: Vec<Finding>,
    /// Domains of the reference that were not looked at by themselves, being more than [`DOMAINS_MAX`] or too small.
    pub domains_left_out: usize,
}

/// Thresholds of one reference that were worked out before: they depend on nothing else but the sizes of the windows.
#[derive(Clone, Debug, Default)]
pub struct Thresholds(BTreeMap<(&'static str, Option<Domain>, usize, usize), f64>);

/// Thresholds that are kept at most; beyond it all are worked out anew.
const THRESHOLDS_MAX: usize = 10_000;

/// Asks every detector. `interval_seconds` is how often they are asked: the rarer, the lower are the thresholds, so that in
/// [`FALSE_ALARM_DAYS`] there is less than one false alarm of all of them together, where samples come independently of each other
/// as the reference's did. `thresholds` are those of this reference.
pub fn measure(reference: &Window, current: &Window, interval_seconds: f64, thresholds: &mut Thresholds) -> Measured {
    let counts = reference.domains();
    let mut domains: Vec<(&Domain, usize)> = counts.into_iter().collect();
    let all = domains.len();
    domains.retain(|(_, count)| *count >= SAMPLES_MIN);
    domains.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    domains.truncate(DOMAINS_MAX);
    let whole = DETECTORS.iter().filter(|detector| detector.scope() == Scope::Whole).count();
    let tests = whole + (DETECTORS.len() - whole) * domains.len();
    let looks = FALSE_ALARM_DAYS * SECONDS_PER_DAY / interval_seconds.max(1.0);
    let probability = FALSE_ALARMS / (tests as f64 * looks);
    let mut judge = |detector: &dyn Detector, domain: Option<&Domain>| {
        let (before, now) = match domain {
            Some(domain) => (reference.of(domain), current.of(domain)),
            None => (reference.whole(), current.whole()),
        };
        let compared = detector.compare(&before, &latest(now));
        let compared = compared.filter(|compared| compared.reference.min(compared.current) >= SAMPLES_MIN);
        let score = compared.map(|compared| thresholds.judge(&compared, detector.name(), domain, probability));
        Finding { detector: detector.name(), meaning: detector.meaning(), domain: domain.cloned(), score }
    };
    let mut findings = Vec::new();
    for detector in DETECTORS {
        match detector.scope() {
            Scope::Whole => findings.push(judge(*detector, None)),
            Scope::Domain => findings.extend(domains.iter().map(|(domain, _)| judge(*detector, Some(domain)))),
        }
    }
    Measured { findings, domains_left_out: all - domains.len() }
}

impl Thresholds {
    fn judge(
        &mut self,
        compared: &Comparison,
        detector: &'static str,
        domain: Option<&Domain>,
        probability: f64,
    ) -> (f64, f64) {
        if self.0.len() > THRESHOLDS_MAX {
            self.0.clear();
        }
        let key = (detector, domain.cloned(), compared.reference, compared.current);
        let seed = format!("{detector} {}", domain.map_or("", Domain::as_str));
        let threshold = *self.0.entry(key).or_insert_with(|| compared.threshold(probability, Random::named(&seed)));
        (compared.observed(), threshold)
    }
}

/// The last of a view, as many as a rung of a ladder has: so that there are few sizes of windows, and few thresholds.
fn latest(view: View<'_>) -> View<'_> {
    let View { mut rows, losses, batches } = view;
    rows.drain(..rows.len() - rung(rows.len()));
    let last = |len: usize| len - rung(len);
    View { rows, losses: &losses[last(losses.len())..], batches: &batches[last(batches.len())..] }
}

/// The largest of 50, 60, 71, 84, 100, … that is not above: each is a fourth root of two larger than the one before.
fn rung(len: usize) -> usize {
    if len < SAMPLES_MIN {
        return len;
    }
    let steps = (4.0 * (len as f64 / SAMPLES_MIN as f64).log2() + 1e-9).floor();
    ((SAMPLES_MIN as f64 * (steps / 4.0).exp2()).ceil() as usize).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Row;

    const HOUR: f64 = 3600.0;

    fn window(counts: &[(&str, usize)]) -> Window {
        let rows =
            |(name, count): &(&str, usize)| vec![Row { tokens: 9, ..Row::new(Domain::new(name).unwrap()) }; *count];
        Window { rows: counts.iter().flat_map(rows).collect(), ..Window::default() }
    }

    fn found(reference: &Window, current: &Window, detector: &str) -> Vec<Finding> {
        let measured = measure(reference, current, HOUR, &mut Thresholds::default());
        measured.findings.into_iter().filter(|finding| finding.detector == detector).collect()
    }

    #[test]
    fn too_little_says_nothing() {
        let score = |reference: usize, current: usize| {
            found(&window(&[("a", reference)]), &window(&[("a", current)]), "domain_mix")[0].score
        };
        assert_eq!((score(49, 1000), score(1000, 49)), (None, None));
        assert!(score(50, 50).is_some_and(|(score, threshold)| score < threshold));
    }

    #[test]
    fn another_mix_of_domains_is_drift_and_a_stray_row_of_another_is_none() {
        let reference = window(&[("a", 800), ("b", 200)]);
        let is_drift = |current: &Window| found(&reference, current, "domain_mix")[0].is_drift();
        assert!(!is_drift(&window(&[("a", 82), ("b", 18)])));
        assert!(!is_drift(&window(&[("a", 81), ("b", 18), ("c", 1)])));
        assert!(is_drift(&window(&[("a", 600), ("b", 400)])));
        assert!(is_drift(&window(&[("a", 60), ("b", 20), ("c", 20)])));
    }

    #[test]
    fn domains_are_looked_at_one_by_one_the_largest_first_and_so_many_at_most() {
        let names: Vec<String> = (0..20).map(|n| format!("d{n:02}")).collect();
        let counts: Vec<(&str, usize)> = names.iter().map(String::as_str).zip(45..).collect();
        let reference = window(&counts);
        let measured = measure(&reference, &reference, HOUR, &mut Thresholds::default());
        let lengths: Vec<&str> = measured
            .findings
            .iter()
            .filter(|f| f.detector == "length")
            .filter_map(|f| f.domain.as_ref())
            .map(Domain::as_str)
            .collect();
        assert_eq!(lengths.len(), 15);
        assert_eq!((lengths[0], measured.domains_left_out), ("d19", 5));
        let each = measured.findings.iter().filter(|finding| finding.domain.is_some());
        assert!(each.into_iter().all(|finding| !finding.is_drift()));
    }

    #[test]
    fn the_more_often_one_looks_the_further_off_is_the_threshold() {
        let reference = window(&[("a", 800), ("b", 200)]);
        let threshold = |interval| {
            measure(&reference, &reference, interval, &mut Thresholds::default()).findings[0].score.unwrap().1
        };
        assert!(threshold(60.0) > threshold(HOUR) && threshold(HOUR) > threshold(86_400.0));
    }

    #[test]
    fn rungs_lie_close_and_never_above() {
        let mut rungs: Vec<usize> = (0..3000).map(rung).collect();
        assert!(
            (50..3000)
                .all(|len| rung(len) <= len && rung(len) as f64 > 0.83 * len as f64 && rung(rung(len)) == rung(len))
        );
        rungs.dedup();
        assert_eq!(&rungs[50..55], [50, 60, 71, 85, 100]);
    }
}
