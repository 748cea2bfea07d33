use serde::{Deserialize, Serialize};

use crate::{
    HackingAction, ITEMS_ALONE_MIN, LeftOut, Policy, PoolReport, Reason, Require, RewardTraining, Side, SuiteReport,
    Uncertain, Verdict, hacking::suspicions, weigh::weigh,
};

#[cfg(test)]
pub(crate) mod tests;

/// What becomes of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It becomes the champion.
    Promote,
    /// The champion stays.
    Reject,
    /// It passed, and becomes the champion once a person says so.
    Hold,
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

    /// The same, until a person says more.
    #[must_use]
    pub fn held(self) -> Self {
        Self { outcome: Outcome::Hold, ..self }
    }

    /// What a person made of a candidate that passed.
    #[must_use]
    pub fn declined(reason: String) -> Self {
        Self { outcome: Outcome::Reject, reasons: vec![Reason::Declined { reason }] }
    }
}

/// Promotes only if no suite that must not fall is shown to have fallen, and the targets show what the policy requires.
/// Suites that are neither protected nor targets are only reported. Sets the verdicts of the suites beside each other, and
/// gives what several of them say together.
///
/// A candidate that lost nothing is refused at most as often as [`Policy::false_alarm_max`] says, however many suites there
/// are and however small; what that lets through is what the items of a suite cannot tell, which every report names. And a
/// score that rises never turns a promotion into a rejection.
///
/// Of a candidate that learned from rewards, the signs of reward hacking join the reasons, and speak against it where the
/// policy says so; a gain that only the optimised reward sees is none.
pub fn decide(
    suites: &mut [SuiteReport],
    training: Option<&RewardTraining>,
    policy: &Policy,
) -> (Vec<PoolReport>, Decision) {
    let must_not_fall = |suite: &SuiteReport| suite.protected || (suite.target && policy.require == Require::NotWorse);
    let pools = weigh(suites, must_not_fall, policy);
    let guarded: Vec<&SuiteReport> = suites.iter().filter(|suite| must_not_fall(suite)).collect();
    let targets: Vec<&SuiteReport> = suites.iter().filter(|suite| suite.target).collect();
    if guarded.is_empty() && targets.is_empty() {
        return (pools, Decision { outcome: Outcome::Reject, reasons: vec![Reason::NothingMeasured] });
    }
    let mut against: Vec<Reason> = guarded.iter().flat_map(|suite| objections(suite, policy)).collect();
    against.extend(pools.iter().filter_map(|pool| pool_objection(pool, policy)));
    let unknown: Vec<String> = suites
        .iter()
        .filter(|suite| suite.is_unknown() && (suite.target || must_not_fall(suite)))
        .map(|suite| suite.suite.clone())
        .collect();
    if !unknown.is_empty() {
        against.push(Reason::NotAsked { suites: unknown });
        return (pools, Decision { outcome: Outcome::Reject, reasons: against });
    }
    let mut in_favour = match policy.require {
        Require::NotWorse => vec![Reason::NotWorse { suites: guarded.len() }],
        Require::Improved => match improvements(&targets, training) {
            Ok(improved) => improved,
            Err(missing) => {
                against.push(missing);
                // A target that could not be judged is why, where it is not an objection of its own.
                let void = targets.iter().filter(|suite| suite.verdict == Verdict::Void && !must_not_fall(suite));
                against.extend(void.map(|suite| void_reason(suite, policy)));
                Vec::new()
            }
        },
    };
    let suspicions = training.map(|training| suspicions(training, suites, policy)).unwrap_or_default();
    if !against.is_empty() || (policy.hacking.action == HackingAction::Reject && !suspicions.is_empty()) {
        against.extend(suspicions);
        return (pools, Decision { outcome: Outcome::Reject, reasons: against });
    }
    let let_pass = guarded.iter().filter(|suite| suite.verdict == Verdict::Uncertain);
    in_favour.extend(let_pass.map(|suite| Reason::uncertain(suite, true)));
    in_favour.extend(suspicions);
    (pools, Decision { outcome: Outcome::Promote, reasons: in_favour })
}

fn objections(suite: &SuiteReport, policy: &Policy) -> Vec<Reason> {
    let alone = suite.n + suite.unjudged >= ITEMS_ALONE_MIN;
    let own = match suite.verdict {
        Verdict::Improved | Verdict::NotWorse => None,
        Verdict::Uncertain => (alone && policy.uncertain == Uncertain::Reject).then(|| Reason::uncertain(suite, false)),
        Verdict::Void => Some(void_reason(suite, policy)),
        Verdict::Regressed => Some(Reason::Regressed {
            suite: suite.suite.clone(),
            difference: suite.difference.mean,
            margin: suite.margin,
            chance: suite.harm,
        }),
    };
    let anchor = suite.anchor.as_ref().filter(|anchor| anchor.verdict == Verdict::Regressed);
    let anchor = anchor.map(|anchor| Reason::BelowAnchor {
        suite: suite.suite.clone(),
        difference: anchor.difference.mean,
        margin: anchor.margin,
        chance: anchor.harm.unwrap_or(1.0),
    });
    own.into_iter().chain(anchor).collect()
}

fn pool_objection(pool: &PoolReport, policy: &Policy) -> Option<Reason> {
    let PoolReport { pool: name, against, suites, n, difference, lower, harm, verdict, .. } = pool;
    let is_unclear = policy.uncertain == Uncertain::Reject && lower.is_some() && *verdict == Verdict::Uncertain;
    (*verdict == Verdict::Regressed || is_unclear).then(|| Reason::TogetherFell {
        pool: name.clone(),
        against: *against,
        suites: suites.len(),
        n: *n,
        difference: *difference,
        chance: *harm,
        shown: !is_unclear,
    })
}

fn void_reason(suite: &SuiteReport, policy: &Policy) -> Reason {
    let (name, items) = (suite.suite.clone(), suite.n + suite.unjudged);
    let faults = suite.faults.candidate.max(suite.faults.champion);
    if suite.n > 0 && suite.unjudged as f64 <= policy.unjudged_ratio_max * items as f64 && faults > 0 {
        let side = if faults == suite.faults.candidate { Side::Candidate } else { Side::Champion };
        let example = suite.unjudged_items.iter().find(|item| item.side == Some(side));
        let example = example.map(|item| LeftOut { id: item.id.clone(), reason: item.reason.clone() });
        return Reason::Faulty { suite: name, side, faults, items, ratio_max: policy.max_fault_ratio, example };
    }
    let example = suite.unjudged_items.first();
    Reason::Void {
        suite: name,
        unjudged: suite.unjudged,
        items,
        ratio_max: policy.unjudged_ratio_max,
        example: example.map(|item| LeftOut { id: item.id.clone(), reason: item.reason.clone() }),
    }
}

/// The targets that improved, or what is missing. What a plugin judged whose reward was optimised does not count alone.
fn improvements(targets: &[&SuiteReport], training: Option<&RewardTraining>) -> Result<Vec<Reason>, Reason> {
    let names = |suites: &[&SuiteReport]| suites.iter().map(|suite| suite.suite.clone()).collect();
    if targets.is_empty() {
        return Err(Reason::NoTarget);
    }
    let improved: Vec<&SuiteReport> =
        targets.iter().filter(|suite| suite.verdict == Verdict::Improved).copied().collect();
    if improved.is_empty() {
        return Err(Reason::NoImprovement { suites: names(targets) });
    }
    let is_optimised = |suite: &&SuiteReport| training.is_some_and(|training| training.optimises(suite));
    if improved.iter().all(is_optimised) {
        return Err(Reason::OptimisedGainAlone { suites: names(&improved) });
    }
    let reason = |suite: &SuiteReport| Reason::Improved {
        suite: suite.suite.clone(),
        difference: suite.difference.mean,
        lower: suite.difference.lower,
    };
    Ok(improved.into_iter().map(reason).collect())
}
