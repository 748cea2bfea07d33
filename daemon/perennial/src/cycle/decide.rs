//! The gate's word, with the report that says why; the registry makes the candidate the champion in the same transaction.

use std::collections::BTreeMap;

use anyhow::Context as _;
use perennial_data::mix;
use perennial_durable::{self as durable, failpoint};
use perennial_gate::{Answers, CompareError, Policy, Report, Suite, compare};
use perennial_registry::{Cycle, NewDecision, Phase};
use perennial_types::{AdapterId, SampleId};
use serde_json::{Value, json};

use super::{
    CycleFolder, Scope, StateCycles, Step,
    anchor::{self, Anchored},
    collect, drift,
    evaluate::{self, Evaluation},
    fallen, golden,
    hold::Word,
    learned::{Returned, Tries},
    notes,
    policy::policy,
    suites, vault,
};
use crate::{
    answers::adapter_name,
    config::Repin,
    pin,
    rewards::{History, chart},
    set_aside,
    stage::StageManifest,
    telemetry::{AnchorPinned, Decided, SamplesReturned, SetAsideCount, SuitesScored, VaultAsked},
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
    let anchored = anchor::read(folder)?;
    let judged = Judged { suites: &suites, answers: &answers, anchored: anchored.as_ref() };
    let tries = Tries::of(scope)?;
    let policy = Policy { earlier_tries: tries.earlier, ..policy(&config.gate, cycle.seed) };
    let report = report(cycle, candidate, folder, judged, history.as_ref(), policy)?;
    let word = if report.decision.promotes() { Word::of(scope)? } else { Word::Unneeded };
    let report = Report { decision: word.on(report.decision.clone()), ..report };
    let passed = report.decision.promotes();
    let waits = matches!(word, Word::Awaited { .. });
    let returned = match passed {
        true => Returned::default(),
        false if waits => Returned::default(),
        false => tries.returned(cycle.id, &report.decision, requeue_max(parts)),
    };
    returned.tell(folder)?;
    let learned: Vec<SampleId> = collect::read(folder)?.into_iter().map(|new| new.id).collect();
    drift::tell(scope, passed, &learned)?;
    let notes = notes_of(cycle, folder, &report)?.into_iter().chain(word.note(cycle.id));
    let report = report.with_notes(notes.collect());
    let telemetry = &parts.context.telemetry;
    telemetry.emit(SuitesScored { suites: &report.suites });
    telemetry.emit(VaultAsked(&vault::flattery(&report.suites)));
    if let Some(history) = history.filter(|_| report.training.is_some()) {
        durable::write_durably(&folder.rewards_chart(), chart(&history)?.as_bytes())?;
    }
    durable::write_durably(&folder.report_json(), &serde_json::to_vec_pretty(&report)?)?;
    durable::write_durably(&folder.report_markdown(), report.markdown().as_bytes())?;
    if waits {
        return Ok(Step::Held);
    }

    let Returned { set_aside, again } = returned;
    let quarantine =
        if set_aside.is_empty() { None } else { set_aside::keep(&parts.context, &set_aside, Some(cycle.id))? };
    let earlier_tries = tries.earlier;
    let decision = NewDecision {
        passed,
        files: known.files,
        base: known.lineage.base,
        mix: cycle.mix.with_context(|| missing("mix"))?,
        suites: report.suites.iter().map(|suite| (suite.suite.clone(), suite.fingerprint)).collect::<BTreeMap<_, _>>(),
        reasons: serde_json::to_value(&report.decision.reasons)?,
        learned: tries.into_new(),
        set_aside,
        pins: config.gate.anchor.repin == Repin::Test && report.outgrows_anchor(),
    };
    let detail = json!({
        "passed": passed,
        "earlier_tries": earlier_tries,
        fallen::FELL: fallen::of(&report),
        golden::GOLDEN: golden::fingerprint(&suites::freeze_golden(scope)?),
    });
    failpoint::hit("cycle.deciding")?;
    parts.context.publishing.decide(cycle.id, &decision, &detail)?;
    announce(scope, &report);
    if decision.passed && decision.pins {
        telemetry.emit(AnchorPinned(&pin::anchor(&parts.context.registry)?));
    }
    if !passed {
        let set_aside = decision.set_aside.len();
        telemetry.emit(SamplesReturned { cycle: cycle.id, again, set_aside, quarantine: quarantine.as_deref() });
        telemetry.emit(SetAsideCount(parts.context.registry.set_aside_count()?));
    }
    Ok(Step::Done)
}

/// What the gate judges by.
pub(super) struct Judged<'a> {
    pub(super) suites: &'a [Suite],
    pub(super) answers: &'a Evaluation,
    pub(super) anchored: Option<&'a Anchored>,
}

/// What the gate says of the answers of all sides, without [notes](notes_of); nothing is written. `history` is how learning
/// from rewards went, where there was any.
pub(super) fn report(
    cycle: &Cycle,
    candidate: AdapterId,
    folder: &CycleFolder,
    Judged { suites, answers, anchored }: Judged<'_>,
    history: Option<&History>,
    policy: Policy,
) -> anyhow::Result<Report> {
    // What was asked decides by the levels that it was asked for, however the configuration is now.
    let policy = Policy { sequential: answers.batches.is_some(), ..policy };
    let sides = answers.candidate.iter().zip(&answers.champion);
    let compared = suites.iter().zip(sides).map(|(suite, (candidate, champion))| {
        let anchor = anchor::answers(anchored, answers.anchor.as_ref(), &suite.name);
        let report = compare(suite, &Answers { candidate, champion, anchor }, &policy)?;
        Ok(match answers.batches.as_ref().and_then(|batches| batches.of_suite(suite, &policy)) {
            Some(run) => run.told(report, &candidate.items, &champion.items),
            None => report,
        })
    });
    let suites = compared.collect::<Result<Vec<_>, CompareError>>()?;
    let training = match history {
        Some(history) => history.summary(&StageManifest::read(&mix::read_manifest(folder.path())?)?.plugins),
        None => None,
    };
    let report = Report::new(cycle.id, candidate, cycle.champion.clone(), suites, training, policy);
    Ok(match anchored {
        Some(anchored) => report.with_anchor(anchored.adapter.clone()),
        None => report,
    })
}

/// How often the samples of a refused cycle come back is a matter of now, as what becomes of any sample is.
fn requeue_max(parts: &StateCycles) -> u32 {
    parts.context.config.current().cycle.requeue_max
}

/// What the phases had to say for the report.
pub(super) fn notes_of(cycle: &Cycle, folder: &CycleFolder, report: &Report) -> anyhow::Result<Vec<String>> {
    let anchor = report
        .anchor
        .iter()
        .filter(|_| report.suites.iter().any(|suite| suite.anchor.is_some()))
        .map(|anchor| format!("It was held against the anchor, too: {}.", adapter_name(anchor.adapter.as_ref())));
    let told = anchor.chain(vault::told(&vault::flattery(&report.suites))).collect();
    Ok([trained_notes(cycle), told, notes::read(folder)?].concat())
}

/// What training had to say for the report.
fn trained_notes(cycle: &Cycle) -> Vec<String> {
    let notes = cycle.detail(Phase::Trained).and_then(|detail| detail["notes"].as_array());
    notes.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
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

/// How often the samples of a cycle that was decided had been tried before.
pub(super) fn earlier_tries(cycle: &Cycle) -> u32 {
    let tries = cycle.detail(Phase::Decided).and_then(|detail| detail["earlier_tries"].as_u64());
    tries.and_then(|tries| u32::try_from(tries).ok()).unwrap_or(0)
}
