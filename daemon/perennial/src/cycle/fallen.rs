//! Which domains fell: the last decision's word on their suites, kept with the cycle in the registry, where it outlives the
//! cycle's folder.

use std::collections::BTreeSet;

use perennial_gate::{Report, SuiteReport};
use perennial_registry::{Cycle, Phase, Registry};
use perennial_types::Domain;

/// What a decision is noted under.
pub(super) const FELL: &str = "fell";

/// How many cycles back a decision is looked for: those between were aborted or failed.
const CYCLES_MAX: usize = 50;

/// The domains whose auto suites fell in this report: by more than half of their margin on average, or beyond doubt.
pub(super) fn of(report: &Report) -> BTreeSet<&Domain> {
    report.suites.iter().filter(|suite| fell(suite)).filter_map(|suite| suite.domain.as_ref()).collect()
}

fn fell(suite: &SuiteReport) -> bool {
    suite.n > 0 && (suite.difference.mean < -suite.margin / 2.0 || suite.difference.upper < 0.0)
}

/// The domains that the last decision saw fall; none where there was no decision, or only such of an older program.
///
/// # Errors
/// Where the registry fails.
pub(super) fn last(registry: &Registry) -> anyhow::Result<BTreeSet<Domain>> {
    Ok(registry.cycles(CYCLES_MAX)?.iter().find_map(noted).unwrap_or_default())
}

/// The domains that a cycle's decision saw fall; `None` where it has none.
pub(super) fn noted(cycle: &Cycle) -> Option<BTreeSet<Domain>> {
    let names = cycle.detail(Phase::Decided)?.get(FELL).and_then(|names| names.as_array());
    let names = names.into_iter().flatten().filter_map(|name| name.as_str());
    Some(names.filter_map(|name| Domain::new(name).ok()).collect())
}
