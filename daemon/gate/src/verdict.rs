use serde::{Deserialize, Serialize};

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
