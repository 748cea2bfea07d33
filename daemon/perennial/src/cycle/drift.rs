//! What had moved in what comes in when a cycle collected its samples, and whether that is gone with what it learned.

use perennial_durable as durable;
use perennial_types::SampleId;
use serde::{Deserialize, Serialize};

use super::{Scope, notes};
use crate::{answers::DriftScore, cycle_folder::read_json, drift, told::told};

/// The name of the trigger.
const TRIGGER: &str = "drift";

/// `drift.json`
#[derive(Serialize, Deserialize)]
struct Before {
    drifted: Vec<DriftScore>,
}

/// Notes what had moved, from what was measured last against the champion of now; nothing where nothing had.
pub(super) fn note(scope: &Scope<'_>) -> anyhow::Result<()> {
    let Scope { parts, cycle, folder, .. } = scope;
    if folder.drift().exists() {
        return Ok(());
    }
    let last = drift::last(&parts.context.state)?;
    let champion =
        cycle.champion.as_ref().map(|champion| parts.context.registry.adapter(champion)).transpose()?.flatten();
    let reference = champion.map(|adapter| adapter.lineage.cycle);
    let drifted: Vec<DriftScore> = last.drifted().cloned().collect();
    if drifted.is_empty() || reference.is_none() || last.reference_cycle != reference {
        return Ok(());
    }
    Ok(durable::write_durably(&folder.drift(), &serde_json::to_vec_pretty(&Before { drifted })?)?)
}

/// Tells the report what had moved, and whether it still has against what is in service from here on; `learned` is what the cycle
/// collected.
pub(super) fn tell(scope: &Scope<'_>, promotes: bool, learned: &[SampleId]) -> anyhow::Result<()> {
    let Scope { parts, cycle, folder, .. } = scope;
    let Some(Before { drifted }) = read_json(&folder.drift())? else { return Ok(()) };
    // What cannot be measured is no reason against a candidate.
    let after = match parts.drift.after(promotes.then_some(learned)) {
        Ok(after) => sentence(&drifted, &after, promotes),
        Err(error) => format!("Whether that is gone could not be measured: {}.", told(&error)),
    };
    notes::write(folder, "5-drift", &[before(&drifted, &cycle.reason), after])
}

fn before(drifted: &[DriftScore], reason: &str) -> String {
    let listed: Vec<String> = drifted.iter().map(|score| format!("{}{}", score.name(), figures(score))).collect();
    let what = if reason == TRIGGER { "Drift began this cycle" } else { "When this cycle began, this had drifted" };
    format!("{what}: {}.", listed.join(", "))
}

/// How each of the scores stands now.
fn sentence(drifted: &[DriftScore], after: &[DriftScore], promotes: bool) -> String {
    let stands = |before: &DriftScore| {
        let now = after.iter().find(|now| now.detector == before.detector && now.domain == before.domain);
        let name = before.name();
        match now.filter(|now| now.score.is_some()) {
            Some(now) if now.drifted => format!("{name} is still there{}", figures(now)),
            Some(now) => format!("{name} is gone{}", figures(now)),
            None => format!("{name} is not known before more rows come"),
        }
    };
    let stands: Vec<String> = drifted.iter().map(stands).collect();
    let whom = if promotes { "the candidate" } else { "the champion, which stays," };
    format!("Against what {whom} learned: {}.", stands.join(", "))
}

fn figures(score: &DriftScore) -> String {
    match (score.score, score.threshold) {
        (Some(score), Some(threshold)) => format!(" ({score:.3}, threshold {threshold:.3})"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_drifted_and_what_became_of_it() {
        let score = |detector: &str, score: Option<f64>| DriftScore {
            detector: detector.to_owned(),
            meaning: String::new(),
            domain: (detector == "length").then(|| "a".parse_domain()),
            score,
            threshold: score.map(|_| 0.2),
            drifted: score.is_some_and(|score| score > 0.2),
        };
        let drifted = [score("length", Some(0.5)), score("domain_mix", Some(0.4)), score("perplexity", Some(1.0))];
        let told = before(&drifted[..1], "drift");
        assert_eq!(told, "Drift began this cycle: length of a (0.500, threshold 0.200).");
        assert!(before(&drifted, "samples").starts_with("When this cycle began, this had drifted: length of a"));
        let after = [score("length", Some(0.1)), score("domain_mix", Some(0.3)), score("perplexity", None)];
        assert_eq!(
            sentence(&drifted, &after, true),
            "Against what the candidate learned: length of a is gone (0.100, threshold 0.200), domain_mix is still there (0.300, \
             threshold 0.200), perplexity is not known before more rows come."
        );
        assert!(sentence(&drifted, &after, false).starts_with("Against what the champion, which stays, learned: "));
    }

    trait ParseDomain {
        fn parse_domain(&self) -> perennial_types::Domain;
    }

    impl ParseDomain for str {
        fn parse_domain(&self) -> perennial_types::Domain {
            perennial_types::Domain::new(self).unwrap()
        }
    }
}
