//! The gate's word on a cycle that is over, under the policy, margins and roles of now. Nothing is trained and nothing is asked
//! again: the answers of both sides are in the cycle's folder.

use anyhow::{Context as _, bail};
use perennial_gate::{Report, Suite, compare};
use perennial_registry::Registry;
use perennial_types::CycleId;

use super::{CycleFolder, decide, evaluate, notes, suites};
use crate::{config::Config, state::StateDir};

/// What the gate would decide now.
///
/// # Errors
/// Where there is no such cycle, it came to no answers, or its folder is no longer kept (`cycle.keep`).
pub(crate) fn decide_anew(
    config: &Config,
    state: &StateDir,
    registry: &Registry,
    id: CycleId,
) -> anyhow::Result<Report> {
    let cycle = registry.cycle(id)?.with_context(|| format!("there is no cycle {id}"))?;
    let Some(candidate) = cycle.candidate.clone() else {
        bail!("cycle {id} trained no candidate: there is nothing to decide");
    };
    let folder = CycleFolder::new(state.cycle(id));
    let kept = suites::read(&folder)?.zip(evaluate::read(&folder)?);
    let Some((mut frozen, answers)) = kept else {
        bail!(
            "the answers of cycle {id} are not there: it did not come to its evaluation, or cycle.keep newer ones ended since"
        );
    };
    frozen.iter_mut().for_each(|suite| under(config, suite));
    let policy = decide::policy(&config.gate, cycle.seed);
    let sides = answers.candidate.iter().zip(&answers.champion);
    let reports =
        frozen.iter().zip(sides).map(|(suite, (candidate, champion))| compare(suite, candidate, champion, &policy));
    let reports = reports.collect::<Result<Vec<_>, _>>()?;
    let training = decide::training(&folder)?;
    let told = [decide::trained_notes(&cycle), notes::read(&folder)?].concat();
    Ok(Report::new(id, candidate, cycle.champion.clone(), reports, training, policy).with_notes(told))
}

/// The suite in the role that it has now. One that is configured no longer keeps what it had.
fn under(config: &Config, suite: &mut Suite) {
    let gate = &config.gate;
    if let Some(domain) = &suite.domain {
        let own = gate.auto.domain.get(domain);
        suite.margin = own.and_then(|own| own.margin).unwrap_or(gate.margin);
        suite.protected = own.and_then(|own| own.protected).unwrap_or(gate.auto.protected);
        suite.target = own.and_then(|own| own.target).unwrap_or(gate.auto.target);
        return;
    }
    if let Some(golden) = gate.suite.iter().find(|golden| golden.name == suite.name) {
        suite.margin = golden.margin.unwrap_or(gate.margin);
        (suite.protected, suite.target) = (golden.protected, golden.target);
    }
}
