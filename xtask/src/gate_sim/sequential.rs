//! Candidates whose suites are asked in batches: how many answers that takes, and what the gate says in the end.

use perennial_gate::{
    AnchorReport, Asked, Look, Metric, POOLED_ITEMS, Paired, Policy, Sequential, Stopped, SuiteReport, decide,
};

use super::{
    share::runs,
    world::{Domain, MARGIN, SCORE, differences, policy, yes_no},
};
use crate::random::Random;

/// The items of a batch.
const BATCH: usize = 50;

/// What became of a candidate.
struct Outcome {
    /// The share of all items that was asked.
    asked: f64,
    /// Whether the gate refuses.
    refused: bool,
}

/// The share of all items that is asked, and the share of candidates that the gate refuses.
pub(super) fn play_all(domains: &[Domain], has_anchor: bool, candidates: u64, seed: u64) -> (f64, f64) {
    let outcomes = runs(candidates, |run| play(domains, has_anchor, seed | run));
    let mean = |of: fn(&Outcome) -> f64| outcomes.iter().map(of).sum::<f64>() / candidates as f64;
    (mean(|outcome| outcome.asked), mean(|outcome| f64::from(u8::from(outcome.refused))))
}

/// Asks protected suites batch by batch, until each is known to be safe or one of them harmed, and decides. With an anchor all of
/// them are compared with one too, on as many items of which twice as many differ.
fn play(domains: &[Domain], has_anchor: bool, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let policy = Policy { sequential: true, ..policy(seed) };
    let (mut suites, mut harm_shown) = (Vec::new(), false);
    for (at, domain) in domains.iter().enumerate() {
        let all = differences(domain, domain.churn, &mut random);
        let beside = has_anchor.then(|| differences(domain, 2.0 * domain.churn, &mut random));
        let asked = if harm_shown { (0, Stopped::Unknown) } else { ask(&all, domains.len(), &policy) };
        harm_shown |= asked.1 == Stopped::Harm;
        suites.push(report(&at.to_string(), &all, asked, beside.as_deref(), &policy));
    }
    let (asked, of) = suites
        .iter()
        .filter_map(|suite| suite.asked)
        .fold((0, 0), |(items, all), asked| (items + asked.items, all + asked.of));
    let refused = !decide(&mut suites, None, &policy).1.promotes();
    Outcome { asked: asked as f64 / of as f64, refused }
}

/// The items that are asked of a suite, and why no more.
fn ask(differences: &[f64], tests: usize, policy: &Policy) -> (usize, Stopped) {
    let (mut test, mut asked) = (Sequential::new(1.0, tests, policy), 0);
    for batch in differences.chunks(BATCH) {
        asked += batch.len();
        match test.observe(batch, MARGIN) {
            Look::Continue => {}
            Look::Safe => return (asked, Stopped::Safe),
            Look::Harm => return (asked, Stopped::Harm),
        }
    }
    (asked, Stopped::End)
}

fn report(
    name: &str,
    all: &[f64],
    (items, stopped): (usize, Stopped),
    beside: Option<&[f64]>,
    policy: &Policy,
) -> SuiteReport {
    let paired = |differences: &[f64]| -> Paired { yes_no(differences.iter().copied()) };
    let report = SuiteReport {
        asked: Some(Asked { items, of: all.len(), stopped }),
        pooled: Some(paired(&all[..items.min(POOLED_ITEMS)])),
        anchor: beside.map(|beside| AnchorReport::measured(paired(beside), [SCORE, SCORE], name, policy)),
        ..SuiteReport::new(name, Metric::ExactMatch, MARGIN)
    };
    report.measured(paired(&all[..items]), policy)
}
