use perennial_types::{AdapterId, CycleId};
use serde::{Deserialize, Serialize};

use crate::{Against, Decision, Outcome, Pinned, Policy, PoolReport, RewardTraining, SuiteReport, decide};

/// All that the gate saw and said of a candidate. Its serde form is `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The cycle that trained the candidate.
    pub cycle: CycleId,
    /// By the fingerprint of its files.
    pub candidate: AdapterId,
    /// The champion that it was compared against; `None` for the base model without an adapter.
    pub champion: Option<AdapterId>,
    /// The anchor that it was compared against too, where one is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Pinned>,
    /// The policy that was followed.
    pub policy: Policy,
    /// The comparison, suite by suite.
    pub suites: Vec<SuiteReport>,
    /// What several suites say together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolReport>,
    /// How learning from rewards went, where there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<RewardTraining>,
    /// The gate's word.
    pub decision: Decision,
    /// What else the reader should know of this cycle: what was left out, cut short or could not be done. One sentence
    /// each, in the order of the phases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How sure a gain over the anchor must be for a new one.
const REPIN_GAIN_LEVEL: f64 = 0.01;
/// How sure a loss against the anchor must be to keep it, suite by suite.
const REPIN_HARM_LEVEL: f64 = 0.05;

impl Report {
    /// Decides, and keeps what the decision rests on.
    pub fn new(
        cycle: CycleId,
        candidate: AdapterId,
        champion: Option<AdapterId>,
        mut suites: Vec<SuiteReport>,
        training: Option<RewardTraining>,
        policy: Policy,
    ) -> Self {
        let (pools, decision) = decide(&mut suites, training.as_ref(), &policy);
        let (anchor, notes) = (None, Vec::new());
        Self { cycle, candidate, champion, anchor, policy, suites, pools, training, decision, notes }
    }

    /// The same report, with the name of the anchor that the suites were compared against; `None`: the base model alone.
    #[must_use]
    pub fn with_anchor(self, adapter: Option<AdapterId>) -> Self {
        Self { anchor: Some(Pinned { adapter }), ..self }
    }

    /// Whether the candidate outgrew the anchor, so that it may take its place: it is promoted, it is better over all
    /// protected suites together at a level of 1 in 100, and no protected suite speaks against it at 5 in 100. The items must
    /// be such as nobody chose it by.
    pub fn outgrows_anchor(&self) -> bool {
        let protected = || self.suites.iter().filter(|suite| suite.protected);
        let harmed = |suite: &SuiteReport| suite.anchor.as_ref().and_then(|anchor| anchor.harm);
        let is_below = protected().filter_map(harmed).any(|harm| harm <= REPIN_HARM_LEVEL);
        let pool = self.pools.iter().find(|pool| pool.against == Against::Anchor).map(|pool| pool.gain);
        let single = protected().find_map(|suite| suite.anchor.as_ref()).and_then(|anchor| anchor.gain);
        let is_above = pool.or(single).is_some_and(|gain| gain <= REPIN_GAIN_LEVEL);
        self.decision.promotes() && is_above && !is_below
    }

    /// The same report, with what else is to be known.
    #[must_use]
    pub fn with_notes(self, notes: Vec<String>) -> Self {
        Self { notes, ..self }
    }

    /// The champion's name, or what stands in for it.
    fn champion_name(&self) -> String {
        self.champion.as_ref().map_or_else(|| "the base model".to_owned(), ToString::to_string)
    }

    /// The decision in one line.
    pub(crate) fn headline(&self) -> String {
        let word = match self.decision.outcome {
            Outcome::Promote => "promoted",
            Outcome::Reject => "rejected",
            Outcome::Hold => "passed, and waits for a person's word",
        };
        let anchor = match &self.anchor {
            Some(Pinned { adapter: Some(adapter) }) => format!(", anchor {adapter}"),
            Some(Pinned { adapter: None }) => ", anchor the base model".to_owned(),
            None => String::new(),
        };
        format!("Cycle {}: {} {word} (compared with {}{anchor})", self.cycle, self.candidate, self.champion_name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use perennial_types::Fingerprint;

    use super::*;
    use crate::{
        Answers, ItemScore, Metric, PluginSummary, Suite, SuiteOptions, SuiteScores, Trend, Unjudged, compare,
        parse_golden,
    };

    fn compared(options: SuiteOptions, rows: &str, candidate: &[f64], champion: &[f64]) -> SuiteReport {
        let suite = parse_golden(rows, "test", options).unwrap();
        let policy = Policy { resamples: 1000, ..Policy::default() };
        compare(&suite, &Answers::new(&scores(&suite, candidate), &scores(&suite, champion)), &policy).unwrap()
    }

    fn scores(suite: &Suite, scores: &[f64]) -> SuiteScores {
        let answered = suite.metric != Metric::Perplexity;
        let item = |score: &f64| ItemScore {
            score: Some(*score),
            tokens: (!answered).then_some(10),
            cut: *score == 0.0,
            unjudged: None,
            unasked: false,
            answer: answered.then(|| if *score == 1.0 { "yes".to_owned() } else { "`no`\n# not | at all".to_owned() }),
        };
        SuiteScores {
            suite: suite.name.clone(),
            fingerprint: suite.fingerprint(),
            items: scores.iter().map(item).collect(),
        }
    }

    fn report(general: &[f64]) -> Report {
        let rows: String =
            (0..12).map(|n| format!("{{\"prompt\": \"Is {n} even?\", \"completion\": \"yes\"}}\n")).collect();
        let target = SuiteOptions { protected: false, target: true, ..SuiteOptions::new("tickets") };
        let wide = SuiteOptions { margin: 0.2, ..SuiteOptions::new("general") };
        let prose = SuiteOptions { metric: Some(Metric::Perplexity), ..SuiteOptions::new("prose") };
        let nats: Vec<f64> = (0..12).map(|n| -2.0 - 0.1 * f64::from(n)).collect();
        let better: Vec<f64> = nats.iter().map(|nats| nats + 0.01).collect();
        let suites = vec![
            compared(target, &rows, &[1.0; 12], &[0.0; 12]),
            compared(wide, &rows, general, &[1.0; 12]),
            compared(prose, &rows, &better, &nats),
        ];
        let candidate = AdapterId::of(&Fingerprint::of(b"candidate"));
        let champion = AdapterId::of(&Fingerprint::of(b"champion"));
        let policy = Policy { resamples: 1000, ..Policy::default() };
        Report::new(CycleId(7), candidate, Some(champion), suites, None, policy)
    }

    #[test]
    fn promotion_reads_as_one() {
        let report = report(&[1.0; 12]);
        assert!(report.decision.promotes());
        insta::assert_snapshot!("promoted_table", report.table());
        insta::assert_snapshot!("promoted_markdown", report.markdown());
    }

    #[test]
    fn rejection_names_the_suite_and_its_worst_items() {
        let mut general = [1.0; 12];
        general[3..9].fill(0.0);
        let report = report(&general);
        assert!(!report.decision.promotes());
        insta::assert_snapshot!("rejected_table", report.table());
        insta::assert_snapshot!("rejected_markdown", report.markdown());
    }

    #[test]
    fn what_could_not_be_judged_is_told_suite_by_suite() {
        let rows = "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"c\", \"completion\": \"d\"}\n{";
        let suite = parse_golden(rows, "golden.jsonl", SuiteOptions::new("golden")).unwrap();
        let mut champion = scores(&suite, &[1.0, 1.0]);
        champion.items[1].score = None;
        champion.items[1].unjudged = Some(Unjudged::lasting("plugin tickets: `trap`\nat 0x7f"));
        let policy = Policy { resamples: 1000, ..Policy::default() };
        let compared = compare(&suite, &Answers::new(&scores(&suite, &[1.0, 0.0]), &champion), &policy).unwrap();
        let Report { cycle, candidate, champion, mut suites, .. } = report(&[1.0; 12]);
        suites.push(compared);
        let report = Report::new(cycle, candidate, champion, suites, None, policy);
        assert!(!report.decision.promotes());
        insta::assert_snapshot!("unjudged_markdown", report.markdown());
        insta::assert_snapshot!("unjudged_table", report.table());
    }

    #[test]
    fn learning_from_rewards_is_told_by_plugin_and_part() {
        let trend = |first, last| Trend { first, last, error: 0.01 };
        let plugin = PluginSummary {
            name: "tickets".to_owned(),
            version: "1.2.0".to_owned(),
            weight: 1.0,
            outcomes: BTreeMap::from([("faulted".to_owned(), 2), ("scored".to_owned(), 78)]),
            reward: Some(trend(0.2, 0.7)),
            parts: BTreeMap::from([("field_f1".to_owned(), trend(0.1, 0.6)), ("valid".to_owned(), trend(0.5, 1.0))]),
        };
        let training = RewardTraining {
            optimised: vec!["tickets".to_owned()],
            steps: 40,
            reward: Some(trend(0.2, 0.7)),
            length: trend(60.0, 12.0),
            kl: Some(trend(0.0, 0.2)),
            entropy: Some(trend(1.5, 0.5)),
            clip_ratio: Some(trend(0.0, 0.01)),
            truncated: Some(trend(0.25, 0.0)),
            unscored: Some(trend(0.0, 0.0)),
            zero_variance: Some(trend(0.1, 0.4)),
            plugins: vec![plugin],
        };
        let Report { cycle, candidate, champion, suites, policy, .. } = report(&[1.0; 12]);
        let report = Report::new(cycle, candidate, champion, suites, Some(training), policy);
        insta::assert_snapshot!("rewarded_markdown", report.markdown());
    }

    #[test]
    fn json_holds_everything() {
        let report = report(&[1.0; 12]);
        let read: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!((read.markdown(), read.table()), (report.markdown(), report.table()));
        let first =
            Report { suites: vec![], champion: None, notes: vec!["2 rows were | kept\nout".to_owned()], ..report };
        insta::assert_json_snapshot!("json", first);
        assert!(first.table().contains("compared with the base model"));
        assert!(first.table().ends_with("\nTo be known:\n  2 rows were | kept out\n"));
        assert!(first.markdown().contains("\n## To be known\n\n- 2 rows were \\| kept out\n"));
    }
}
