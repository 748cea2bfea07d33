use super::*;
use crate::{Difference, Metric, Paired, Scale};

/// A yes/no suite of which so many items were gained and lost.
pub(crate) fn yes_no(name: &str, role: &str, n: usize, gains: usize, losses: usize) -> SuiteReport {
    let values = [vec![1.0; gains], vec![-1.0; losses], vec![0.0; n - gains - losses]].concat();
    let report = SuiteReport {
        protected: role.contains("protected"),
        target: role.contains("target"),
        champion: 0.5,
        candidate: 0.5,
        ..SuiteReport::new(name, Metric::ExactMatch, 0.05)
    };
    report.measured(paired(&values), &Policy::default())
}

fn paired(values: &[f64]) -> Paired {
    Paired::new(Scale::Binary, values.iter().copied().map(Difference::from).collect())
}

/// A suite with this verdict: of 1200 items, or of 12 where nothing can be told.
pub(crate) fn suite(name: &str, role: &str, verdict: Verdict) -> SuiteReport {
    match verdict {
        Verdict::Improved => yes_no(name, role, 1200, 240, 0),
        Verdict::NotWorse => yes_no(name, role, 1200, 12, 12),
        Verdict::Uncertain => yes_no(name, role, 12, 0, 1),
        Verdict::Regressed => yes_no(name, role, 1200, 0, 360),
        Verdict::Void => SuiteReport { unjudged: 12, ..yes_no(name, role, 0, 0, 0) },
    }
}

fn decided(suites: &[SuiteReport], policy: &Policy) -> Decision {
    decide(&mut suites.to_vec(), None, policy).1
}

fn reasons(suites: &[SuiteReport], policy: &Policy) -> (Outcome, Vec<String>) {
    let Decision { outcome, reasons } = decided(suites, policy);
    (outcome, reasons.iter().map(ToString::to_string).collect())
}

#[test]
fn suites_of_the_tests_have_the_verdicts_that_they_name() {
    for verdict in [Verdict::Improved, Verdict::NotWorse, Verdict::Uncertain, Verdict::Regressed, Verdict::Void] {
        let mut suites = [suite("s", "protected", verdict)];
        assert_eq!(suites[0].verdict, verdict);
        decide(&mut suites, None, &Policy::default());
        assert_eq!(suites[0].verdict, verdict);
    }
}

#[test]
fn a_gain_on_a_target_promotes_where_nothing_protected_fell() {
    let suites = [suite("new", "target", Verdict::Improved), suite("old", "protected", Verdict::NotWorse)];
    let (outcome, said) = reasons(&suites, &Policy::default());
    assert_eq!((outcome, said.len()), (Outcome::Promote, 1));
    assert!(said[0].starts_with("suite new improved by 0.200 (at least 0.1"), "{said:?}");
}

#[test]
fn every_protected_suite_that_speaks_against_it_is_named() {
    let suites = [
        suite("new", "target", Verdict::Improved),
        suite("a", "protected", Verdict::Regressed),
        yes_no("b", "protected", 1200, 20, 60),
        SuiteReport { n: 3, unjudged: 9, ..suite("c", "protected", Verdict::Uncertain) },
    ];
    let (outcome, said) = reasons(&suites, &Policy::default());
    let expected = [
        "suite a fell by 0.300: chance alone does that less than 1 in 10000 times, and a loss beyond its margin of 0.050 is \
         not ruled out",
        "suite b fell by 0.033: chance alone does that less than 1 in 10000 times, and a loss beyond its margin of 0.050 is \
         not ruled out",
        "suite c is void: 9 of its 12 items could not be judged, and gate.unjudged_ratio_max is 0.5; mend the items, or \
         judge it by another metric",
        "all suites together (2 suites, 2400 items) fell by 3.33 of their margins against the champion: chance alone does \
         that less than 1 in 10000 times",
    ];
    assert_eq!((outcome, said), (Outcome::Reject, expected.map(str::to_owned).to_vec()));
}

#[test]
fn a_loss_within_the_margin_is_tolerated_where_more_is_ruled_out() {
    let small_loss = yes_no("old", "protected", 5000, 100, 170);
    assert!(small_loss.harm.unwrap() < 0.001);
    let suites = [suite("new", "target", Verdict::Improved), small_loss];
    assert!(decided(&suites, &Policy::default()).promotes());
}

#[test]
fn nobody_is_refused_for_having_few_items() {
    let policy = Policy::default();
    let gain = suite("new", "target", Verdict::Improved);
    for (n, gains, losses) in [(1, 0, 0), (1, 1, 0), (1, 0, 1), (8, 1, 0), (8, 4, 0), (20, 3, 0), (8, 1, 2)] {
        let suites = [gain.clone(), yes_no("old", "protected", n, gains, losses)];
        assert!(decided(&suites, &policy).promotes(), "{n} {gains} {losses}");
    }
    let (outcome, said) = reasons(&[gain.clone(), suite("old", "protected", Verdict::Uncertain)], &policy);
    assert!(outcome == Outcome::Promote && said[1].starts_with("suite old was let pass: "), "{said:?}");
    assert!(said[1].contains("it could have seen 0.293; "), "{said:?}");
    assert!(!decided(&[gain, yes_no("old", "protected", 8, 0, 6)], &policy).promotes(), "shown harm refuses");
}

#[test]
fn many_suites_share_what_may_be_refused_by_chance() {
    let gain = suite("new", "target", Verdict::Improved);
    let with_others = |others: usize, losses: usize| {
        let mut suites = vec![gain.clone(), yes_no("old", "protected", 50, 0, losses)];
        suites.extend((0..others).map(|at| yes_no(&format!("still {at}"), "protected", 50, 3, 3)));
        decided(&suites, &Policy::default()).promotes()
    };
    assert!(!with_others(0, 5) && with_others(9, 5));
    assert!(!with_others(9, 9));
}

#[test]
fn what_no_suite_can_tell_alone_several_tell_together() {
    let policy = Policy::default();
    let mut suites = vec![suite("new", "target", Verdict::Improved)];
    suites.extend((0..10).map(|at| yes_no(&format!("s{at}"), "protected", 20, 0, 2)));
    let (outcome, said) = reasons(&suites, &policy);
    assert_eq!(outcome, Outcome::Reject);
    assert!(
        said[0].starts_with("all suites together (10 suites, 200 items) fell by 2.00 of their margins"),
        "{said:?}"
    );
    assert_eq!(said.len(), 1, "{said:?}");
    // A large one that stands still hides them from the pool of all, not from that of the small ones.
    suites.push(yes_no("large", "protected", 3000, 200, 200));
    let (outcome, said) = reasons(&suites, &policy);
    assert_eq!(outcome, Outcome::Reject);
    assert!(said[0].starts_with("small suites together (10 suites, 200 items)"), "{said:?}");
}

#[test]
fn a_strict_policy_wants_the_absence_of_a_loss_shown() {
    let policy = Policy { uncertain: Uncertain::Reject, confidence: 0.95, resamples: 2000, ..Policy::default() };
    let gain = suite("new", "target", Verdict::Improved);
    let with = |suites: &[SuiteReport]| decided(&[std::slice::from_ref(&gain), suites].concat(), &policy);
    let large = with(&[yes_no("old", "protected", 200, 20, 20)]);
    assert!(matches!(large.reasons[..], [Reason::Uncertain { allowed: false, .. }]), "{large:?}");
    assert!(with(&[yes_no("old", "protected", 20, 2, 2)]).promotes(), "too few to stand alone");
    let few: Vec<SuiteReport> = (0..3).map(|at| yes_no(&format!("s{at}"), "protected", 20, 2, 2)).collect();
    assert!(matches!(with(&few).reasons[..], [Reason::TogetherFell { shown: false, .. }]));
    let still: Vec<SuiteReport> = (0..9).map(|at| yes_no(&format!("s{at}"), "protected", 20, 0, 0)).collect();
    assert!(with(&still).promotes());
}

#[test]
fn a_void_suite_blocks_where_it_must_not_fall_and_is_no_gain() {
    let policy = Policy::default();
    let aside = [suite("new", "target", Verdict::Improved), suite("aside", "", Verdict::Void)];
    assert!(decided(&aside, &policy).promotes());
    let void = suite("new", "target", Verdict::Void);
    let decision = decided(&[void.clone(), suite("old", "protected", Verdict::NotWorse)], &policy);
    assert!(matches!(decision.reasons[..], [Reason::NoImprovement { .. }, Reason::Void { .. }]), "{decision:?}");
    let guarded = SuiteReport { protected: true, ..void };
    let decision = decided(&[guarded], &policy);
    assert!(matches!(decision.reasons[..], [Reason::Void { .. }, Reason::NoImprovement { .. }]), "{decision:?}");
}

#[test]
fn a_side_that_can_no_longer_be_judged_is_refused() {
    let faulty = |candidate, champion| {
        let faults = crate::Faults { candidate, champion };
        let unjudged = candidate + champion;
        SuiteReport { unjudged, faults, ..yes_no("old", "protected", 100 - unjudged, 5, 0) }
    };
    let policy = Policy::default();
    let with = |suite| decided(&[suite, yes_no("new", "target", 100, 30, 0)], &policy);
    assert!(with(faulty(10, 0)).promotes());
    for (candidate, champion) in [(11, 0), (0, 11), (30, 0)] {
        let decision = with(faulty(candidate, champion));
        assert!(matches!(decision.reasons[..], [Reason::Faulty { faults: 11 | 30, .. }]), "{decision:?}");
    }
    let said = with(faulty(11, 0)).reasons[0].to_string();
    assert_eq!(
        said,
        "suite old is void: 11 of its 100 items could not be judged for the candidate's answers alone, and \
         gate.max_fault_ratio is 0.1"
    );
}

#[test]
fn targets_share_what_may_be_gained_by_chance() {
    // 6 gains and no loss are a chance of 1 in 64.
    let one = [yes_no("new", "target", 50, 6, 0), suite("old", "protected", Verdict::NotWorse)];
    assert!(decided(&one, &Policy::default()).promotes());
    let mut many = one.to_vec();
    many.extend((0..4).map(|at| yes_no(&format!("still {at}"), "target", 50, 1, 1)));
    assert!(!decided(&many, &Policy::default()).promotes());
    let tried = Policy { earlier_tries: 2, ..Policy::default() };
    assert!(!decided(&one, &tried).promotes(), "a try more is a chance more");
}

#[test]
fn without_a_gain_there_is_no_reason_to_promote() {
    let policy = Policy::default();
    let still = [suite("new", "target", Verdict::NotWorse), suite("old", "protected", Verdict::Improved)];
    let expected = vec!["no target suite is shown to have improved (new)".to_owned()];
    assert_eq!(reasons(&still, &policy), (Outcome::Reject, expected));
    let targetless = [suite("old", "protected", Verdict::Improved)];
    assert_eq!(decided(&targetless, &policy).reasons, [Reason::NoTarget]);
    let reported = [suite("aside", "", Verdict::Improved)];
    assert_eq!(decided(&reported, &policy).reasons, [Reason::NothingMeasured]);
    assert_eq!(decided(&[], &policy).reasons, [Reason::NothingMeasured]);
}

#[test]
fn not_worse_asks_no_gain_but_guards_the_targets() {
    let policy = Policy { require: Require::NotWorse, ..Policy::default() };
    let still = [suite("new", "target", Verdict::NotWorse), suite("old", "protected", Verdict::NotWorse)];
    assert_eq!(reasons(&still, &policy), (Outcome::Promote, vec!["2 suites are not shown to have fallen".to_owned()]));
    let fell = [suite("new", "target", Verdict::Regressed), suite("old", "protected", Verdict::NotWorse)];
    assert_eq!(decided(&fell, &policy).outcome, Outcome::Reject);
    assert_eq!(decided(&[], &policy).outcome, Outcome::Reject);
}

#[test]
fn suites_without_a_role_do_not_decide() {
    let suites = [suite("new", "target", Verdict::Improved), suite("aside", "", Verdict::Regressed)];
    assert!(decided(&suites, &Policy::default()).promotes());
}

fn beside_anchor(n: usize, gains: usize, losses: usize) -> Option<crate::AnchorReport> {
    let values = [vec![1.0; gains], vec![-1.0; losses], vec![0.0; n - gains - losses]].concat();
    Some(crate::AnchorReport::measured(paired(&values), [0.5, 0.5], "old", &Policy::default()))
}

#[test]
fn losses_that_each_are_small_are_bounded_by_the_anchor() {
    let old = suite("old", "protected", Verdict::NotWorse);
    let with = |anchor| {
        let suites = [suite("new", "target", Verdict::Improved), SuiteReport { anchor, ..old.clone() }];
        decided(&suites, &Policy::default())
    };
    assert!(with(beside_anchor(1500, 100, 110)).promotes());
    let decision = with(beside_anchor(1500, 250, 320));
    assert!(matches!(decision.reasons[..], [Reason::BelowAnchor { .. }]), "{decision:?}");
    assert!(with(beside_anchor(0, 0, 0)).promotes(), "nothing to compare with");
    assert!(with(beside_anchor(20, 0, 3)).promotes(), "a mean of few items is chance");
    // 5.5 points of 2000 are refused for the mean, whatever the unrest.
    assert!(!with(beside_anchor(2000, 940, 1050)).promotes());
}

#[test]
fn an_anchor_is_outgrown_by_a_sure_gain_alone() {
    let id = perennial_types::AdapterId::of(&perennial_types::Fingerprint::of(b"a"));
    let outgrown = |anchor| {
        let old = SuiteReport { anchor, ..suite("old", "protected", Verdict::NotWorse) };
        let suites = vec![suite("new", "target", Verdict::Improved), old];
        let report = crate::Report::new(perennial_types::CycleId(1), id.clone(), None, suites, None, Policy::default());
        report.outgrows_anchor()
    };
    assert!(outgrown(beside_anchor(1000, 100, 60)));
    assert!(!outgrown(beside_anchor(1000, 90, 70)), "at 5 in 100 it would be");
    assert!(!outgrown(None) && !outgrown(beside_anchor(1000, 0, 0)));
}

fn rewarded(optimised: &[&str]) -> crate::RewardTraining {
    crate::RewardTraining {
        optimised: optimised.iter().map(|plugin| (*plugin).to_owned()).collect(),
        steps: 9,
        reward: Some(crate::Trend { first: 0.5, last: 0.5, error: 0.0 }),
        length: crate::Trend { first: 10.0, last: 90.0, error: 0.0 },
        kl: None,
        entropy: None,
        clip_ratio: None,
        truncated: None,
        unscored: None,
        zero_variance: None,
        plugins: vec![],
    }
}

#[test]
fn suspicion_of_reward_hacking_rejects_only_where_the_policy_says_so() {
    let mut suites = [suite("new", "target", Verdict::Improved)];
    let run = rewarded(&[]);
    let warned = decide(&mut suites, Some(&run), &Policy::default()).1;
    assert!(warned.promotes() && matches!(warned.reasons[..], [Reason::Improved { .. }, Reason::LengthDrift { .. }]));
    let hacking = crate::HackingPolicy { action: HackingAction::Reject, ..Default::default() };
    let rejected = decide(&mut suites, Some(&run), &Policy { hacking, ..Policy::default() }).1;
    assert!(!rejected.promotes() && matches!(rejected.reasons[..], [Reason::LengthDrift { .. }]));
}

#[test]
fn the_reward_that_was_optimised_cannot_be_the_only_gain() {
    let own = SuiteReport { plugin: Some("tickets".to_owned()), ..suite("own", "target", Verdict::Improved) };
    let run = rewarded(&["tickets"]);
    let mut suites = vec![own, suite("golden", "target", Verdict::NotWorse)];
    let refused = decide(&mut suites, Some(&run), &Policy::default()).1;
    assert!(matches!(&refused.reasons[0], Reason::OptimisedGainAlone { suites } if suites == &["own"]), "{refused:?}");
    assert!(decide(&mut suites, Some(&rewarded(&["other"])), &Policy::default()).1.promotes());
    suites[1] = suite("golden", "target", Verdict::Improved);
    assert!(decide(&mut suites, Some(&run), &Policy::default()).1.promotes());
}
