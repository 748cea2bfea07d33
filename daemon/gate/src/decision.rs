use serde::{Deserialize, Serialize};

use crate::{Policy, Reason, Require, SuiteReport, Uncertain, Verdict};

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
pub fn decide(suites: &[SuiteReport], policy: &Policy) -> Decision {
    let must_not_fall = |suite: &&SuiteReport| suite.protected || (suite.target && policy.require == Require::NotWorse);
    let guarded: Vec<&SuiteReport> = suites.iter().filter(must_not_fall).collect();
    let targets: Vec<&SuiteReport> = suites.iter().filter(|suite| suite.target).collect();
    if guarded.is_empty() && targets.is_empty() {
        return Decision { outcome: Outcome::Reject, reasons: vec![Reason::NothingMeasured] };
    }
    let mut against: Vec<Reason> = guarded.iter().filter_map(|suite| objection(suite, policy.uncertain)).collect();
    let mut in_favour = match policy.require {
        Require::NotWorse => vec![Reason::NotWorse { suites: guarded.len() }],
        Require::Improved => targets.iter().filter_map(|suite| improvement(suite)).collect(),
    };
    if in_favour.is_empty() {
        against.push(missing_improvement(&targets));
    }
    if !against.is_empty() {
        return Decision { outcome: Outcome::Reject, reasons: against };
    }
    let let_pass = guarded.iter().filter(|suite| suite.verdict == Verdict::Uncertain);
    in_favour.extend(let_pass.map(|suite| Reason::uncertain(suite, true)));
    Decision { outcome: Outcome::Promote, reasons: in_favour }
}

fn objection(suite: &SuiteReport, uncertain: Uncertain) -> Option<Reason> {
    match suite.verdict {
        Verdict::Improved | Verdict::NotWorse => None,
        Verdict::Uncertain => (uncertain == Uncertain::Reject).then(|| Reason::uncertain(suite, false)),
        Verdict::Unmeasured => Some(Reason::Unmeasured { suite: suite.suite.clone() }),
        Verdict::Regressed => Some(Reason::Regressed {
            suite: suite.suite.clone(),
            difference: suite.difference.mean,
            margin: suite.margin,
        }),
    }
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
