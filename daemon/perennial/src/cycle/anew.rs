//! The gate's word on a cycle that is over, under the policy, margins and roles of now. Nothing is trained and nothing is asked
//! again: the answers of both sides are in the cycle's folder.

use perennial_gate::{Policy, Report, Suite};
use perennial_registry::{Registry, RegistryError};
use perennial_types::CycleId;

use super::{
    CycleFolder, anchor,
    decide::{self, Judged},
    evaluate,
    held_out::auto_name,
    policy::policy,
    suites,
};
use crate::{
    answers::NotFound,
    config::{AutoSuite, Config},
    rewards::History,
    state::StateDir,
};

/// What the gate would decide now.
///
/// # Errors
/// Where there is no such cycle, it came to no answers, or its folder is no longer kept (`cycle.keep`).
pub(super) fn decide_anew(
    config: &Config,
    state: &StateDir,
    registry: &Registry,
    id: CycleId,
) -> anyhow::Result<Report> {
    let cycle = registry.cycle(id)?.ok_or(RegistryError::UnknownCycle(id))?;
    let candidate = cycle.candidate.clone();
    let candidate = candidate.ok_or_else(|| NotFound(format!("candidate of cycle {id}: it trained none")))?;
    let folder = CycleFolder::new(state.cycle(id));
    let kept = suites::read(&folder)?.zip(evaluate::read(&folder)?);
    let (mut frozen, answers) = kept.ok_or_else(|| {
        NotFound(format!(
            "answer of cycle {id}: it did not come to its evaluation, or cycle.keep newer ones ended since"
        ))
    })?;
    frozen.iter_mut().for_each(|suite| under(config, suite));
    suites::name_targets(&folder, &mut frozen)?;
    let history = History::read(&folder)?;
    let policy = Policy { earlier_tries: decide::earlier_tries(&cycle), ..policy(&config.gate, cycle.seed) };
    let anchored = if config.gate.anchor.enabled { anchor::read(&folder)? } else { None };
    let judged = Judged { suites: &frozen, answers: &answers, anchored: anchored.as_ref() };
    let report = decide::report(&cycle, candidate, &folder, judged, history.as_ref(), policy)?;
    let notes = decide::notes_of(&cycle, &folder, &report)?;
    Ok(report.with_notes(notes))
}

/// The suite in the role that it has now. One that is no longer configured keeps what it had.
fn under(config: &Config, suite: &mut Suite) {
    let gate = &config.gate;
    if let Some(domain) = suite.domain.as_ref().filter(|domain| suite.name == auto_name(domain)) {
        let AutoSuite { protected, target, margin, .. } = gate.auto_of(domain);
        (suite.protected, suite.target, suite.margin) = (protected, target, margin);
    } else if let Some(golden) = gate.suite.iter().find(|golden| golden.name == suite.name) {
        (suite.protected, suite.target, suite.margin) = (golden.protected, golden.target, gate.margin_of(golden));
    }
}
