use serde::{Deserialize, Serialize};

use crate::{Policy, Stopped, SuiteReport};

/// What a comparison says of the candidate on one suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A gain is shown.
    Improved,
    /// A loss beyond the margin is ruled out.
    NotWorse,
    /// Neither a loss nor its absence is shown.
    #[serde(alias = "too_small")]
    Uncertain,
    /// Harm is shown, and a loss beyond the margin is not ruled out.
    Regressed,
    /// Too few items could be judged on both sides for the rest to stand for the suite.
    #[serde(alias = "unmeasured")]
    Void,
}

impl Verdict {
    /// What a suite's numbers say, where a loss (`harm`) or a gain is shown beside all suites that were asked.
    ///
    /// A score that rises never makes a verdict worse: it lowers no bound, and it makes harm no surer and a gain no less sure.
    pub(crate) fn of(suite: &SuiteReport, harm: bool, gain: bool, policy: &Policy) -> Self {
        let SuiteReport { n, unjudged, faults, .. } = suite;
        let items = (n + unjudged) as f64;
        // One bad item never decides.
        let faults_max = (policy.max_fault_ratio * items).max(1.0);
        let faults = faults.candidate.max(faults.champion) as f64;
        if *n == 0 || *unjudged as f64 > policy.unjudged_ratio_max * items || faults > faults_max {
            return Self::Void;
        }
        if let Some(asked) = &suite.asked {
            return match asked.stopped {
                Stopped::Safe => Self::NotWorse,
                Stopped::Harm => Self::Regressed,
            };
        }
        match (gain, suite.is_not_worse(), harm) {
            (true, ..) => Self::Improved,
            (_, true, _) => Self::NotWorse,
            (.., true) => Self::Regressed,
            _ => Self::Uncertain,
        }
    }

    /// The word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::NotWorse => "not worse",
            Self::Uncertain => "uncertain",
            Self::Regressed => "regressed",
            Self::Void => "void",
        }
    }
}
