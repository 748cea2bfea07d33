//! Suites, decisions, and who is in service.

use std::time::{SystemTime, UNIX_EPOCH};

use perennial_gate::{CutAnswers, Side, SuiteReport, Verdict};
use perennial_types::{AdapterId, CycleId, Domain};
use tracing::{info, warn};

use super::whole;
use crate::{
    answers::{Anchor, pin_reason},
    telemetry::{Event, Telemetry},
};

/// How many suites have metric labels of their own; the log and the report tell of all.
const SUITES_LABELLED_MAX: usize = 128;

/// Somebody asks adapters outside a cycle.
pub(crate) struct LookStarted;

impl Event for LookStarted {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.progress().phase("evaluate");
    }
}

/// What somebody asked is answered, or was stopped.
pub(crate) struct LookEnded;

impl Event for LookEnded {
    fn emit(self, telemetry: &Telemetry) {
        telemetry.progress().finish();
    }
}

/// Champion and candidate were compared on all suites of a cycle.
pub(crate) struct SuitesScored<'a> {
    /// What came of it.
    pub(crate) suites: &'a [SuiteReport],
}

impl Event for SuitesScored<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let metrics = &telemetry.metrics().gate;
        // What is no suite of this cycle says nothing any more.
        metrics.suite_score.reset();
        metrics.suite_unjudged.reset();
        metrics.suite_void.reset();
        metrics.suite_cut.reset();
        metrics.anchor_difference.reset();
        metrics.anchor_margin.reset();
        for report in self.suites {
            log(report);
        }
        let spared = self.suites.iter().filter_map(|suite| suite.asked).map(|asked| asked.of - asked.items);
        metrics.spared.inc_by(2 * spared.sum::<usize>() as u64);
        for report in self.suites.iter().take(SUITES_LABELLED_MAX) {
            let SuiteReport { suite, n, champion, candidate, unjudged, verdict, cut, .. } = report;
            let void = *verdict == Verdict::Void;
            metrics.suite_void.with_label_values(&[suite]).set(i64::from(void));
            metrics.suite_unjudged.with_label_values(&[suite]).set(whole(*unjudged as u64));
            if let Some(anchor) = report.anchor.as_ref().filter(|anchor| anchor.n > 0) {
                metrics.anchor_difference.with_label_values(&[suite]).set(anchor.difference.mean);
                metrics.anchor_margin.with_label_values(&[suite]).set(anchor.margin);
            }
            if *n == 0 {
                continue;
            }
            for (side, score) in [(Side::Champion, champion), (Side::Candidate, candidate)] {
                metrics.suite_score.with_label_values(&[suite, side.as_str()]).set(*score);
            }
            if let Some(CutAnswers { champion, candidate, .. }) = cut {
                for (side, cut) in [(Side::Champion, champion), (Side::Candidate, candidate)] {
                    metrics.suite_cut.with_label_values(&[suite, side.as_str()]).set(*cut as f64 / *n as f64);
                }
            }
        }
    }
}

fn log(report: &SuiteReport) {
    let SuiteReport { suite, n, champion, candidate, unjudged, verdict, .. } = report;
    if let Some(asked) = report.asked.filter(|asked| asked.items < asked.of) {
        info!(suite, asked = asked.items, of = asked.of, why = asked.why(), "suite asked no further");
        if asked.items == 0 {
            return;
        }
    }
    info!(suite, items = n, champion, candidate, verdict = verdict.as_str(), "suite scored");
    let first = report.unjudged_items.first().map(|item| format!("{}: {}", item.id, item.reason));
    match (first, *verdict == Verdict::Void) {
        (Some(first), true) => {
            warn!(suite, unjudged, judged = n, first, "suite void: too few of its items could be judged")
        }
        (Some(first), false) => warn!(suite, unjudged, judged = n, first, "items that cannot be judged left out"),
        (None, _) => {}
    }
}

/// One side was asked so many of the items of all suites.
pub(crate) struct ItemsJudged {
    /// So far.
    pub(crate) done: u64,
    /// In all.
    pub(crate) items: u64,
}

impl Event for ItemsJudged {
    fn emit(self, telemetry: &Telemetry) {
        let Self { done, items } = self;
        telemetry.board().update(|activity| activity.items = Some((done, items)));
        telemetry.progress().items(done, items);
    }
}

/// New samples ask what a suite asks, and are kept out of training.
pub(crate) struct SamplesKeptOut {
    /// The cycle that would have trained on them.
    pub(crate) cycle: CycleId,
    /// How many.
    pub(crate) samples: u64,
}

impl Event for SamplesKeptOut {
    fn emit(self, telemetry: &Telemetry) {
        let Self { cycle, samples } = self;
        warn!(%cycle, samples, "new samples ask what a suite asks: kept out of training");
        telemetry.metrics().gate.kept_out.inc_by(samples);
    }
}

/// The gate, or somebody in its place, decided.
pub(crate) enum Decided<'a> {
    /// The gate lets the candidate into service.
    Promote(&'a AdapterId),
    /// The gate refuses the candidate.
    Reject {
        /// The candidate.
        adapter: &'a AdapterId,
        /// The suites that fell, or what else was missing.
        reason: &'a str,
    },
    /// Somebody put an adapter in service by hand.
    Forced(&'a AdapterId),
    /// An earlier champion (`None`: the base model alone) is in service again.
    RolledBack(Option<&'a AdapterId>),
}

impl Event for Decided<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let decision = match self {
            Self::Promote(adapter) => {
                info!(%adapter, "gate passed: promote");
                "promote"
            }
            Self::Reject { adapter, reason } => {
                warn!(%adapter, reason, "gate failed: reject");
                "reject"
            }
            Self::Forced(adapter) => {
                warn!(%adapter, "promoted by hand");
                "forced"
            }
            Self::RolledBack(adapter) => {
                let adapter = adapter.map_or("none (the base model)", AdapterId::as_str);
                warn!(adapter, "rolled back");
                "roll_back"
            }
        };
        telemetry.metrics().gate.decisions.with_label_values(&[decision]).inc();
    }
}

/// How far a domain's suite flatters the champion against its vault.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flattery {
    pub(crate) domain: Domain,
    /// The champion's score on the suite less that on the vault; more than 0 flatters. For perplexity, in nats per token.
    pub(crate) by: f64,
    /// The items of the vault.
    pub(crate) items: usize,
    /// The champion's score on the vault.
    pub(crate) score: f64,
    /// The champion's score on the suite that decides.
    pub(crate) of_suite: f64,
}

/// A cycle asked the vault, or did not.
pub(crate) struct VaultAsked<'a>(pub(crate) &'a [Flattery]);

impl Event for VaultAsked<'_> {
    fn emit(self, telemetry: &Telemetry) {
        for Flattery { domain, by, items, .. } in self.0 {
            info!(%domain, items, by, "the vault was asked: the champion's score on the suite that decides is higher by so much");
        }
        // What an earlier cycle found holds until it is asked again.
        if self.0.is_empty() {
            return;
        }
        let metric = &telemetry.metrics().gate.flattery;
        metric.reset();
        for Flattery { domain, by, .. } in self.0.iter().take(SUITES_LABELLED_MAX) {
            metric.with_label_values(&[domain.as_str()]).set(*by);
        }
    }
}

/// Somebody, or the test, pinned an anchor.
pub(crate) struct AnchorPinned<'a>(pub(crate) &'a Anchor);

impl Event for AnchorPinned<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let Self(anchor) = self;
        let how = anchor.pin.as_ref().map(pin_reason);
        info!(anchor = anchor.name(), how, "anchor pinned");
        AnchorStands(anchor).emit(telemetry);
    }
}

/// The anchor, at start.
pub(crate) struct AnchorStands<'a>(pub(crate) &'a Anchor);

impl Event for AnchorStands<'_> {
    fn emit(self, telemetry: &Telemetry) {
        let since_ms = self.0.pin.as_ref().map_or(0, |pin| pin.at_ms);
        telemetry.metrics().gate.anchor_since.set(since_ms as f64 / 1000.0);
    }
}

/// A champion is in service since then: at start, and whenever it changes.
pub(crate) struct ChampionInService {
    /// Since when.
    pub(crate) since: SystemTime,
}

impl Event for ChampionInService {
    fn emit(self, telemetry: &Telemetry) {
        let seconds = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        telemetry.metrics().gate.champion_since.set(seconds);
    }
}

#[cfg(test)]
mod tests {
    use perennial_gate::{Asked, Metric, Stopped, UnjudgedItem};

    use super::{super::testing::*, *};

    fn report(name: &str, n: usize) -> SuiteReport {
        let unjudged_items = vec![UnjudgedItem { id: "line 3".into(), side: None, reason: "empty".into() }];
        SuiteReport {
            n,
            unjudged: 3,
            unjudged_items,
            cut: Some(CutAnswers { max_new_tokens: 8, champion: 1, candidate: 2 }),
            candidate: 0.5,
            champion: 0.25,
            verdict: if n == 0 { Verdict::Void } else { Verdict::NotWorse },
            ..SuiteReport::new(name, Metric::ExactMatch, 0.05)
        }
    }

    #[test]
    fn suites_that_are_gone_leave_no_labels_behind() {
        let telemetry = telemetry();
        telemetry.emit(SuitesScored { suites: &[report("old", 4), report("kept", 4)] });
        telemetry.emit(SuitesScored { suites: &[report("kept", 4), report("empty", 0)] });
        for line in [
            r#"perennial_gate_suite_score{model="candidate",suite="kept"} 0.5"#,
            r#"perennial_gate_suite_cut_ratio{model="candidate",suite="kept"} 0.5"#,
            r#"perennial_gate_suite_unjudged_items{suite="kept"} 3"#,
            r#"perennial_gate_suite_void{suite="kept"} 0"#,
            r#"perennial_gate_suite_void{suite="empty"} 1"#,
        ] {
            assert!(exports(&telemetry, line), "{line}");
        }
        let text = telemetry.metrics().render().unwrap();
        assert!(!text.contains("\"old\"") && !text.contains(r#"score{model="candidate",suite="empty"}"#));
    }

    #[test]
    fn answers_that_were_spared_are_counted() {
        let telemetry = telemetry();
        let asked = Some(Asked { items: 50, of: 400, stopped: Stopped::Harm });
        telemetry.emit(SuitesScored { suites: &[SuiteReport { asked, ..report("s", 50) }, report("whole", 4)] });
        assert!(exports(&telemetry, "perennial_gate_spared_answers_total 700"));
    }

    #[test]
    fn suites_beyond_a_limit_have_no_labels() {
        let telemetry = telemetry();
        let suites: Vec<SuiteReport> = (0..200).map(|at| report(&format!("s{at}"), 4)).collect();
        telemetry.emit(SuitesScored { suites: &suites });
        let text = telemetry.metrics().render().unwrap();
        assert_eq!(text.matches("perennial_gate_suite_void{").count(), SUITES_LABELLED_MAX);
    }
}
