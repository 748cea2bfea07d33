use serde::{Deserialize, Serialize};

use crate::{
    HackingAction, LeftOut, Policy, Reason, Require, RewardTraining, SuiteReport, Uncertain, Verdict,
    hacking::suspicions,
};

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It becomes the champion.
    Promote,
    /// The champion stays.
    Reject,
}

/// The gate's word on a candidate, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What becomes of it.
    pub outcome: Outcome,
    /// What spoke against it, for a rejection, or for it, for a promotion (with what was only let pass). Never empty.
    pub reasons: Vec<Reason>,
}

impl Decision {
    /// Whether the candidate becomes the champion.
    pub fn promotes(&self) -> bool {
        self.outcome == Outcome::Promote
    }
}

/// Promotes only if no suite that must not fall may have fallen beyond its margin, and the targets show what the policy
/// requires. Suites that are neither protected nor targets are only reported.
///
/// All protected suites must pass, so the chance that a true loss slips through is that of one suite however many there
/// are; but the chance that a harmless candidate is refused adds up over suites whose margin is tight for their size.
///
/// Of a candidate that learned from rewards, the signs of reward hacking join the reasons, and speak against it where the
/// policy says so.
pub fn decide(suites: &[SuiteReport], training: Option<&RewardTraining>, policy: &Policy) -> Decision {
    let must_not_fall = |suite: &&SuiteReport| suite.protected || (suite.target && policy.require == Require::NotWorse);
    let guarded: Vec<&SuiteReport> = suites.iter().filter(must_not_fall).collect();
    let targets: Vec<&SuiteReport> = suites.iter().filter(|suite| suite.target).collect();
    if guarded.is_empty() && targets.is_empty() {
        return Decision { outcome: Outcome::Reject, reasons: vec![Reason::NothingMeasured] };
    }
    let mut against: Vec<Reason> = guarded.iter().filter_map(|suite| objection(suite, policy)).collect();
    let mut in_favour = match policy.require {
        Require::NotWorse => not_worse(&guarded),
        Require::Improved => targets.iter().filter_map(|suite| improvement(suite)).collect(),
    };
    if in_favour.is_empty() && policy.require == Require::NotWorse {
        against.push(Reason::NothingLargeEnough { suites: guarded.iter().map(|suite| suite.suite.clone()).collect() });
    } else if in_favour.is_empty() {
        against.push(missing_improvement(&targets));
        // A target that could not be judged is why, where it is not an objection of its own.
        let void = targets.iter().filter(|suite| suite.verdict == Verdict::Void && !must_not_fall(suite));
        against.extend(void.map(|suite| void_reason(suite, policy)));
    }
    let suspicions = training.map(|training| suspicions(training, suites, &policy.hacking)).unwrap_or_default();
    if !against.is_empty() || (policy.hacking.action == HackingAction::Reject && !suspicions.is_empty()) {
        against.extend(suspicions);
        return Decision { outcome: Outcome::Reject, reasons: against };
    }
    let let_pass = guarded.iter().filter(|suite| suite.verdict == Verdict::Uncertain);
    in_favour.extend(let_pass.map(|suite| Reason::uncertain(suite, true)));
    in_favour.extend(guarded.iter().filter_map(|suite| too_small(suite)));
    in_favour.extend(suspicions);
    Decision { outcome: Outcome::Promote, reasons: in_favour }
}

fn objection(suite: &SuiteReport, policy: &Policy) -> Option<Reason> {
    match suite.verdict {
        Verdict::Improved | Verdict::NotWorse | Verdict::TooSmall => None,
        Verdict::Uncertain => (policy.uncertain == Uncertain::Reject).then(|| Reason::uncertain(suite, false)),
        Verdict::Void => Some(void_reason(suite, policy)),
        Verdict::Regressed => Some(Reason::Regressed {
            suite: suite.suite.clone(),
            difference: suite.difference.mean,
            margin: suite.margin,
        }),
    }
}

fn void_reason(suite: &SuiteReport, policy: &Policy) -> Reason {
    let example = suite.unjudged_items.first();
    Reason::Void {
        suite: suite.suite.clone(),
        unjudged: suite.unjudged,
        items: suite.n + suite.unjudged,
        ratio_max: policy.unjudged_ratio_max,
        example: example.map(|item| LeftOut { id: item.id.clone(), reason: item.reason.clone() }),
    }
}

fn too_small(suite: &SuiteReport) -> Option<Reason> {
    (suite.verdict == Verdict::TooSmall).then(|| Reason::TooSmall {
        suite: suite.suite.clone(),
        n: suite.n + suite.unjudged,
        items_needed: suite.items_needed.unwrap_or_default(),
    })
}

/// What vouches for the candidate: the suites that are large enough to.
fn not_worse(guarded: &[&SuiteReport]) -> Vec<Reason> {
    let suites = guarded.iter().filter(|suite| suite.verdict != Verdict::TooSmall).count();
    if suites == 0 { Vec::new() } else { vec![Reason::NotWorse { suites }] }
}

fn improvement(suite: &SuiteReport) -> Option<Reason> {
    (suite.verdict == Verdict::Improved).then(|| Reason::Improved {
        suite: suite.suite.clone(),
        difference: suite.difference.mean,
        lower: suite.difference.lower,
    })
}

fn missing_improvement(targets: &[&SuiteReport]) -> Reason {
    if targets.is_empty() {
        return Reason::NoTarget;
    }
    Reason::NoImprovement { suites: targets.iter().map(|suite| suite.suite.clone()).collect() }
}

#[cfg(test)]
pub(crate) mod tests {
    use perennial_types::Fingerprint;

    use super::*;
    use crate::{Interval, Metric};

    pub(crate) fn suite(name: &str, role: &str, verdict: Verdict) -> SuiteReport {
        let (mean, lower) = match verdict {
            Verdict::Improved => (0.2, 0.1),
            Verdict::NotWorse => (0.0, -0.02),
            Verdict::Uncertain => (-0.01, -0.09),
            Verdict::Regressed => (-0.3, -0.4),
            Verdict::TooSmall => (-0.125, -0.6),
            Verdict::Void => (0.0, f64::MIN),
        };
        SuiteReport {
            suite: name.to_owned(),
            domain: None,
            metric: Metric::ExactMatch,
            plugin: None,
            fingerprint: Fingerprint::of(name.as_bytes()),
            protected: role.contains("protected"),
            target: role.contains("target"),
            margin: 0.05,
            n: 50,
            items_needed: None,
            tokens: None,
            unjudged: 0,
            unjudged_items: vec![],
            cut: None,
            candidate: 0.5 + mean,
            champion: 0.5,
            difference: Interval { mean, lower, upper: mean + 0.1 },
            verdict,
            worst: vec![],
        }
    }

    fn reasons(suites: &[SuiteReport], policy: &Policy) -> (Outcome, Vec<String>) {
        let Decision { outcome, reasons } = decide(suites, None, policy);
        (outcome, reasons.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_gain_on_a_target_promotes_where_nothing_protected_fell() {
        let suites = [suite("new", "target", Verdict::Improved), suite("old", "protected", Verdict::NotWorse)];
        let expected = vec!["suite new improved by 0.200 (at least 0.100)".to_owned()];
        assert_eq!(reasons(&suites, &Policy::default()), (Outcome::Promote, expected));
    }

    #[test]
    fn every_protected_suite_that_speaks_against_it_is_named() {
        let suites = [
            suite("new", "target", Verdict::Improved),
            suite("a", "protected", Verdict::Regressed),
            suite("b", "protected", Verdict::Uncertain),
            SuiteReport { n: 3, unjudged: 9, ..suite("c", "protected", Verdict::Void) },
        ];
        let expected = [
            "suite a fell by 0.300, more than its margin of 0.05",
            "suite b may have fallen: the difference is -0.010 on 50 items, but it could be -0.090, beyond the margin of \
             0.05; about 200 items or a wider margin would tell",
            "suite c is void: 9 of its 12 items could not be judged, and gate.unjudged_ratio_max is 0.5; mend the items, or \
             judge it by another metric",
        ];
        assert_eq!(reasons(&suites, &Policy::default()), (Outcome::Reject, expected.map(str::to_owned).to_vec()));
    }

    #[test]
    fn a_void_suite_blocks_where_it_must_not_fall_and_is_no_gain() {
        let policy = Policy::default();
        let aside = [suite("new", "target", Verdict::Improved), suite("aside", "", Verdict::Void)];
        assert!(decide(&aside, None, &policy).promotes());
        let target = [suite("new", "target", Verdict::Void), suite("old", "protected", Verdict::NotWorse)];
        let reasons = decide(&target, None, &policy).reasons;
        assert!(matches!(reasons[..], [Reason::NoImprovement { .. }, Reason::Void { .. }]), "{reasons:?}");
        let guarded = Policy { require: Require::NotWorse, ..policy };
        assert!(matches!(decide(&target, None, &guarded).reasons[..], [Reason::Void { .. }]));
    }

    #[test]
    fn uncertainty_passes_only_where_the_policy_lets_it() {
        let suites = [suite("new", "target", Verdict::Improved), suite("b", "protected", Verdict::Uncertain)];
        let allow = Policy { uncertain: Uncertain::Allow, ..Policy::default() };
        let (outcome, reasons) = reasons(&suites, &allow);
        assert_eq!((outcome, reasons.len()), (Outcome::Promote, 2));
        assert!(reasons[1].starts_with("suite b was let pass"));
        let regressed = [suite("new", "target", Verdict::Improved), suite("b", "protected", Verdict::Regressed)];
        assert_eq!(decide(&regressed, None, &allow).outcome, Outcome::Reject);
    }

    #[test]
    fn what_is_too_small_to_tell_has_no_say_and_is_told() {
        let small = SuiteReport { n: 8, items_needed: Some(90), ..suite("old", "protected", Verdict::TooSmall) };
        let suites = [suite("new", "target", Verdict::Improved), small.clone()];
        let (outcome, said) = reasons(&suites, &Policy::default());
        let expected =
            "suite old does not speak against it: of 90 items that it takes to tell a loss from chance it has 8";
        assert_eq!((outcome, said[1].as_str()), (Outcome::Promote, expected));
        let policy = Policy { require: Require::NotWorse, ..Policy::default() };
        let expected = "no suite that must not fall has items enough to tell (old): add items, or widen the margin";
        assert_eq!(reasons(std::slice::from_ref(&small), &policy), (Outcome::Reject, vec![expected.to_owned()]));
        let with_another = [small, suite("large", "protected", Verdict::NotWorse)];
        assert_eq!(reasons(&with_another, &policy).1[0], "1 suite stayed within its margin");
    }

    #[test]
    fn without_a_gain_there_is_no_reason_to_promote() {
        let policy = Policy::default();
        let still = [suite("new", "target", Verdict::NotWorse), suite("old", "protected", Verdict::Improved)];
        let expected = vec!["no target suite is shown to have improved (new)".to_owned()];
        assert_eq!(reasons(&still, &policy), (Outcome::Reject, expected));
        let targetless = [suite("old", "protected", Verdict::Improved)];
        assert_eq!(decide(&targetless, None, &policy).reasons, [Reason::NoTarget]);
        let reported = [suite("aside", "", Verdict::Improved)];
        assert_eq!(decide(&reported, None, &policy).reasons, [Reason::NothingMeasured]);
        assert_eq!(decide(&[], None, &policy).reasons, [Reason::NothingMeasured]);
    }

    #[test]
    fn not_worse_asks_no_gain_but_guards_the_targets() {
        let policy = Policy { require: Require::NotWorse, ..Policy::default() };
        let still = [suite("new", "target", Verdict::NotWorse), suite("old", "protected", Verdict::NotWorse)];
        assert_eq!(
            reasons(&still, &policy),
            (Outcome::Promote, vec!["2 suites stayed within their margin".to_owned()])
        );
        let fell = [suite("new", "target", Verdict::Regressed), suite("old", "protected", Verdict::NotWorse)];
        assert_eq!(decide(&fell, None, &policy).outcome, Outcome::Reject);
        assert_eq!(decide(&[], None, &policy).outcome, Outcome::Reject);
    }

    #[test]
    fn suites_without_a_role_do_not_decide() {
        let suites = [suite("new", "target", Verdict::Improved), suite("aside", "", Verdict::Regressed)];
        assert!(decide(&suites, None, &Policy::default()).promotes());
    }

    #[test]
    fn suspicion_of_reward_hacking_rejects_only_where_the_policy_says_so() {
        let suites = [suite("new", "target", Verdict::Improved)];
        let still = crate::Trend { first: 0.5, last: 0.5, error: 0.0 };
        let drift = crate::Trend { first: 10.0, last: 90.0, error: 0.0 };
        let run = RewardTraining {
            optimised: vec![],
            steps: 9,
            reward: Some(still),
            length: drift,
            kl: None,
            entropy: None,
            clip_ratio: None,
            truncated: None,
            unscored: None,
            zero_variance: None,
            plugins: vec![],
        };
        let warned = decide(&suites, Some(&run), &Policy::default());
        assert!(
            warned.promotes() && matches!(warned.reasons[..], [Reason::Improved { .. }, Reason::LengthDrift { .. }])
        );
        let hacking = crate::HackingPolicy { action: HackingAction::Reject, ..Default::default() };
        let rejected = decide(&suites, Some(&run), &Policy { hacking, ..Policy::default() });
        assert!(!rejected.promotes() && matches!(rejected.reasons[..], [Reason::LengthDrift { .. }]));
    }
}
