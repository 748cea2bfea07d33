//! Candidates whose true losses are known, and what the gate's own code makes of them.

use perennial_gate::{AnchorReport, Difference, Metric, Paired, Policy, Require, Scale, SuiteReport, decide};

use crate::random::Random;

/// The champion's share of right answers.
pub(super) const SCORE: f64 = 0.6;
/// The loss that is tolerated, as configured.
pub(super) const MARGIN: f64 = 0.05;

/// One suite of a simulated cycle.
#[derive(Clone, Copy)]
pub(super) struct Domain {
    /// Its items.
    pub(super) items: usize,
    /// The share of items that is answered otherwise though nothing is lost.
    pub(super) churn: f64,
    /// What is truly lost, as a share of 1.
    pub(super) loss: f64,
}

/// Nothing is asked but that nothing fell: what promotes is another matter.
pub(super) fn policy(seed: u64) -> Policy {
    Policy { require: Require::NotWorse, resamples: 200, seed, ..Policy::default() }
}

/// Whether the gate refuses a candidate with these suites. `anchor` of them, with as many items and twice the churn, are
/// compared with an anchor too.
pub(super) fn refuses(domains: &[Domain], has_anchor: bool, seed: u64) -> bool {
    let (mut random, policy) = (Random::new(seed), policy(seed));
    let mut suites: Vec<SuiteReport> = domains
        .iter()
        .enumerate()
        .map(|(at, domain)| {
            let own = paired(domain, domain.churn, &mut random);
            let anchor = has_anchor.then(|| paired(domain, 2.0 * domain.churn, &mut random));
            report(&at.to_string(), own, anchor, &policy)
        })
        .collect();
    !decide(&mut suites, None, &policy).1.promotes()
}

/// What the gate says of one suite alone.
pub(super) fn report(name: &str, own: Paired, anchor: Option<Paired>, policy: &Policy) -> SuiteReport {
    let anchor = anchor.map(|paired| AnchorReport::measured(paired, [SCORE, SCORE], name, policy));
    SuiteReport { anchor, ..SuiteReport::new(name, Metric::ExactMatch, MARGIN) }.measured(own, policy)
}

/// The differences of a candidate.
fn paired(domain: &Domain, churn: f64, random: &mut Random) -> Paired {
    yes_no(differences(domain, churn, random).into_iter())
}

/// The differences on the items, each of which is lost or gained by half of the churn; the true loss comes on top.
pub(super) fn differences(domain: &Domain, churn: f64, random: &mut Random) -> Vec<f64> {
    let changes = churn + domain.loss;
    let mut differences = vec![0.0; domain.items];
    let mut at = random.misses(changes);
    while let Some(difference) = differences.get_mut(at) {
        *difference = if random.happens(0.5 * churn / changes) { 1.0 } else { -1.0 };
        at = at.saturating_add(1).saturating_add(random.misses(changes));
    }
    differences
}

/// The differences of yes/no items.
pub(super) fn yes_no(differences: impl Iterator<Item = f64>) -> Paired {
    Paired::new(Scale::Binary, differences.map(Difference::from).collect())
}
