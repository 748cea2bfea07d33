//! The verdicts of all suites beside each other: what is shown, over so many tests, is not what one of them would show alone.

use crate::{Against, AnchorReport, Policy, PoolReport, SuiteReport, Verdict, holm, pool::pools, power::items_at};

/// Sets the verdict of every suite, beside the champion and the anchor, and gives the pools.
///
/// All tests of harm that may refuse are one family, so a candidate that lost nothing is refused at most as often as
/// [`Policy::false_alarm_max`] says, whatever the number and size of suites. All tests of gains that may promote are
/// another. Suites that decide nothing are judged alone.
pub(crate) fn weigh(
    suites: &mut [SuiteReport],
    guards: impl Fn(&SuiteReport) -> bool,
    policy: &Policy,
) -> Vec<PoolReport> {
    // A suite that is void says nothing to the others.
    let speaks = |suite: &SuiteReport| suite.verdict_where(false, false, policy) != Verdict::Void;
    let guarded: Vec<usize> = (0..suites.len()).filter(|at| guards(&suites[*at]) && speaks(&suites[*at])).collect();
    let asked: Vec<&SuiteReport> = guarded.iter().map(|at| &suites[*at]).collect();
    let mut pooled = pools(&asked, Against::Champion, policy);
    pooled.extend(pools(&asked, Against::Anchor, policy));
    // What was known early keeps its place in the family, and shows nothing there.
    let own: Vec<Option<f64>> =
        asked.iter().map(|suite| suite.harm.map(|chance| if suite.stopped_early() { 1.0 } else { chance })).collect();
    let of_anchor = |suite: &&SuiteReport| suite.anchor.as_ref().and_then(|anchor| anchor.harm);
    let anchored: Vec<Option<f64>> = asked.iter().map(of_anchor).collect();
    let family: Vec<f64> =
        own.iter().chain(&anchored).flatten().copied().chain(pooled.iter().map(|pool| pool.harm)).collect();
    let mut shown = holm::shown(&family, policy.harm_level()).into_iter();
    let mut next = |chance: &Option<f64>| chance.is_some() && shown.next().unwrap_or_default();
    let own: Vec<bool> = own.iter().map(&mut next).collect();
    let anchored: Vec<bool> = anchored.iter().map(&mut next).collect();
    let pooled = pooled.into_iter().map(|pool| pool.settled(next(&Some(0.0)))).collect();

    let targets: Vec<usize> = (0..suites.len()).filter(|at| suites[*at].target && speaks(&suites[*at])).collect();
    let chance_of_gain = |suite: &SuiteReport| suite.gain.filter(|_| !suite.stopped_early()).unwrap_or(1.0);
    let gains: Vec<f64> = targets.iter().map(|at| chance_of_gain(&suites[*at])).collect();
    let gains = holm::shown(&gains, policy.gain_level());
    for (at, suite) in suites.iter_mut().enumerate() {
        let alone = |chance: Option<f64>, level: f64| chance.is_some_and(|chance| chance <= level);
        let guard = guarded.iter().position(|guarded| *guarded == at);
        let target = targets.iter().position(|target| *target == at);
        let harm = guard.map_or_else(|| alone(suite.harm, policy.harm_level()), |guard| own[guard]);
        let gain = target.map_or_else(|| alone(suite.gain, policy.gain_level()), |target| gains[target]);
        suite.verdict = suite.verdict_where(harm, gain, policy);
        suite.items_needed = items_at(suite.margin, suite.paired.variance_with(suite.margin), family.len(), policy);
        let settled = |anchor: AnchorReport| {
            let harm = guard.map_or_else(|| alone(anchor.harm, policy.harm_level()), |guard| anchored[guard]);
            anchor.settled(harm)
        };
        suite.anchor = suite.anchor.take().map(settled);
    }
    pooled
}
