//! The gate's word, with the report that says why; the registry makes the candidate the champion in the same transaction.

use std::collections::BTreeMap;

use anyhow::Context as _;
use perennial_data::mix::{self, Origin};
use perennial_durable as durable;
use perennial_gate::{Answers, Policy, Report, Suite, compare};
use perennial_registry::{Cycle, NewDecision, Phase};
use perennial_types::{AdapterId, SampleId};
use serde_json::{Value, json};

use super::{
    CycleFolder, Scope, Step,
    evaluate::{self, Evaluation},
    notes, suites,
};
use crate::{
    config,
    rewards::{History, chart},
    stage::StageManifest,
    telemetry::{Decided, SuitesScored},
};

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, folder, .. } = scope;
    let missing = |what: &str| format!("cycle {} has no {what}", cycle.id);
    let candidate = cycle.candidate.clone().with_context(|| missing("candidate"))?;
    let known = parts.context.registry.adapter(&candidate)?.with_context(|| missing("candidate"))?;
    let suites = suites::read(folder)?.context("the suites are gone: remove nothing from the cycle's folder")?;
    // Where the scores are gone they are asked for again, and that may be stopped.
    let Some(answers) = evaluate::evaluation(scope, &suites)? else { return Ok(Step::Stopped) };
    let history = History::read(folder)?;
    let report = report(cycle, candidate, folder, (&suites, &answers), history.as_ref(), &config.gate)?;
    parts.context.telemetry.emit(SuitesScored { suites: &report.suites });
    if let Some(history) = history.filter(|_| report.training.is_some()) {
        durable::write_durably(&folder.rewards_chart(), chart(&history)?.as_bytes())?;
    }
    durable::write_durably(&folder.report_json(), &serde_json::to_vec_pretty(&report)?)?;
    durable::write_durably(&folder.report_markdown(), report.markdown().as_bytes())?;

    let decision = NewDecision {
        passed: report.decision.promotes(),
        files: known.files,
        base: known.lineage.base,
        mix: cycle.mix.with_context(|| missing("mix"))?,
        suites: report.suites.iter().map(|suite| (suite.suite.clone(), suite.fingerprint)).collect::<BTreeMap<_, _>>(),
        reasons: serde_json::to_value(&report.decision.reasons)?,
        consumed: consumed(scope)?,
    };
    let detail = json!({ "passed": decision.passed });
    parts.context.publishing.decide(cycle.id, &decision, &detail)?;
    announce(scope, &report);
    Ok(Step::Done)
}

/// What the gate says of the answers of both sides; nothing is written. `history` is how learning from rewards went, where there
/// was any.
pub(super) fn report(
    cycle: &Cycle,
    candidate: AdapterId,
    folder: &CycleFolder,
    (suites, answers): (&[Suite], &Evaluation),
    history: Option<&History>,
    gate: &config::Gate,
) -> anyhow::Result<Report> {
    let policy = policy(gate, cycle.seed);
    let sides = answers.candidate.iter().zip(&answers.champion);
    let compared =
        suites.iter().zip(sides).map(|(suite, (ours, theirs))| compare(suite, &Answers::new(ours, theirs), &policy));
    let suites = compared.collect::<Result<Vec<_>, _>>()?;
    let training = match history {
        Some(history) => history.summary(&StageManifest::read(&mix::read_manifest(folder.path())?)?.plugins),
        None => None,
    };
    let notes = [trained_notes(cycle), notes::read(folder)?].concat();
    Ok(Report::new(cycle.id, candidate, cycle.champion.clone(), suites, training, policy).with_notes(notes))
}

/// What training had to say for the report.
fn trained_notes(cycle: &Cycle) -> Vec<String> {
    let notes = cycle.detail(Phase::Trained).and_then(|detail| detail["notes"].as_array());
    notes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The new samples of the mix that were learned from: whatever the decision, they are no longer new.
fn consumed(scope: &Scope<'_>) -> anyhow::Result<Vec<SampleId>> {
    let (_, rows) = mix::read_mix(scope.folder.path())?;
    let new = rows.into_iter().filter(|row| row.origin == Origin::New).map(|row| row.sample.id);
    let mut new: Vec<SampleId> = new.collect();
    let aside = scope.parts.context.registry.set_aside_among(&new)?;
    new.retain(|id| !aside.contains(id));
    Ok(new)
}

fn announce(scope: &Scope<'_>, report: &Report) {
    let telemetry = &scope.parts.context.telemetry;
    if report.decision.promotes() {
        telemetry.emit(Decided::Promote(&report.candidate));
        return;
    }
    let reasons: Vec<String> = report.decision.reasons.iter().map(ToString::to_string).collect();
    telemetry.emit(Decided::Reject { adapter: &report.candidate, reason: &reasons.join("; ") });
}

/// The gate's policy as configured.
pub(crate) fn policy(gate: &config::Gate, seed: u64) -> Policy {
    Policy {
        confidence: gate.confidence,
        false_alarm_max: gate.false_alarm_max,
        chance_gain_max: gate.chance_gain_max,
        margin_relative: gate.margin_relative,
        anchor_margin: gate.anchor.margin,
        earlier_tries: 0,
        resamples: gate.resamples,
        seed,
        require: gate.require,
        uncertain: gate.uncertain,
        unjudged_ratio_max: gate.unjudged_ratio_max,
        max_fault_ratio: gate.max_fault_ratio,
        hacking: gate.hacking.clone(),
    }
}
