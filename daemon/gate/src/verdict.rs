use serde::{Deserialize, Serialize};

use crate::{Interval, Policy};

/// What a comparison says of the candidate on one suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The lower bound of the difference is above 0.
    Improved,
    /// The lower bound is not below −margin: a loss beyond the margin is ruled out.
    NotWorse,
    /// The mean is within the margin, the lower bound is not: neither a loss nor its absence is shown.
    Uncertain,
    /// The mean itself is below −margin; on a suite of few items, the upper bound is below 0.
    Regressed,
    /// It has fewer items than it takes to tell a loss from chance, and shows none: it has no say.
    TooSmall,
    /// Too few items could be judged on both sides for the rest to stand for the suite.
    #[serde(alias = "unmeasured")]
    Void,
}

impl Verdict {
    /// What a difference on `n` items says under a margin, where `unjudged` more items went without a judgement, and
    /// `needed` of both are enough for a say.
    pub fn of(
        n: usize,
        unjudged: usize,
        needed: Option<usize>,
        difference: &Interval,
        margin: f64,
        policy: &Policy,
    ) -> Self {
        if n == 0 || unjudged as f64 > policy.unjudged_ratio_max * (n + unjudged) as f64 {
            return Self::Void;
        }
        if difference.lower > 0.0 {
            return Self::Improved;
        }
        // At the bound counts as within it, so that a margin of 0 admits a candidate that answers just as the champion.
        if difference.lower >= -margin {
            return Self::NotWorse;
        }
        // Items that went unjudged count: a candidate cannot make a suite small.
        let is_small = needed.is_some_and(|needed| n + unjudged < needed);
        if is_small {
            return if difference.upper < 0.0 { Self::Regressed } else { Self::TooSmall };
        }
        if difference.mean >= -margin { Self::Uncertain } else { Self::Regressed }
    }

    /// The word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::NotWorse => "not worse",
            Self::Uncertain => "uncertain",
            Self::Regressed => "regressed",
            Self::TooSmall => "too small",
            Self::Void => "void",
        }
    }
}
