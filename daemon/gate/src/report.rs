use perennial_types::{AdapterId, CycleId};
use serde::{Deserialize, Serialize};

use crate::{Decision, Policy, SuiteReport, decide, markdown, table};

/// All that the gate saw and said of a candidate. Its serde form is `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The cycle that trained the candidate.
    pub cycle: CycleId,
    /// The candidate.
    pub candidate: AdapterId,
    /// The champion that it was compared against; `None` for the base model without an adapter.
    pub champion: Option<AdapterId>,
    /// The policy that was followed.
    pub policy: Policy,
    /// The comparison, suite by suite.
    pub suites: Vec<SuiteReport>,
    /// The gate's word.
    pub decision: Decision,
}

impl Report {
    /// Decides, and keeps what the decision rests on.
    pub fn new(
        cycle: CycleId,
        candidate: AdapterId,
        champion: Option<AdapterId>,
        suites: Vec<SuiteReport>,
        policy: Policy,
    ) -> Self {
        let decision = decide(&suites, &policy);
        Self { cycle, candidate, champion, policy, suites, decision }
    }

    /// The report as people read it, with the items on which the candidate lost most.
    pub fn markdown(&self) -> String {
        markdown::render(self)
    }

    /// The comparison as a table for a terminal, with the decision below.
    pub fn table(&self) -> String {
        table::render(self)
    }

    /// The champion's name, or what stands in for it.
    pub(crate) fn champion_name(&self) -> String {
        self.champion.as_ref().map_or_else(|| "the base model".to_owned(), ToString::to_string)
    }

    /// The decision in one line.
    pub(crate) fn headline(&self) -> String {
        let word = if self.decision.promotes() { "promoted" } else { "rejected" };
        format!("Cycle {}: {} {word} (compared with {})", self.cycle, self.candidate, self.champion_name())
    }
}

/// The role of a suite, for tables.
pub(crate) fn role(suite: &SuiteReport) -> &'static str {
    match (suite.protected, suite.target) {
        (true, true) => "protected, target",
        (true, false) => "protected",
        (false, true) => "target",
        (false, false) => "reported",
    }
}

/// The interval of a difference, for tables.
pub(crate) fn interval(suite: &SuiteReport) -> String {
    if suite.n == 0 {
        return "–".to_owned();
    }
    format!("{:+.3} … {:+.3}", suite.difference.lower, suite.difference.upper)
}
