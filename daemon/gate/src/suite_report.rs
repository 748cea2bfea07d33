use perennial_types::{Domain, Fingerprint};
use serde::{Deserialize, Serialize};

use crate::{AnchorReport, Asked, Interval, MarginBy, Metric, Paired, Policy, Stopped, Verdict, power::items_at};

/// The items on which the candidate lost most that a report keeps.
pub const WORST_ITEMS_MAX: usize = 5;
/// The items without a judgement that a report names; all of them are counted.
pub const UNJUDGED_ITEMS_MAX: usize = 20;
/// The longest question, reference or answer that a report keeps, in characters.
pub const WORST_ITEM_CHARS_MAX: usize = 2000;

/// An item on which the candidate lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstItem {
    /// As its suite has it.
    pub id: String,
    /// What was asked, cut to [`WORST_ITEM_CHARS_MAX`].
    pub question: String,
    /// The right answer, cut likewise.
    pub reference: String,
    /// What the candidate answered, cut likewise; `None` where the metric is a likelihood.
    pub candidate_answer: Option<String>,
    /// What the champion answered, likewise.
    pub champion_answer: Option<String>,
    /// More is better, whatever the metric.
    pub candidate_score: f64,
    /// The champion's score of the same item, likewise.
    pub champion_score: f64,
}

/// An item that says nothing of the candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnjudgedItem {
    /// As its suite has it.
    pub id: String,
    /// Whose answer could not be judged; `None` where nobody was asked, or neither could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<Side>,
    /// Why it cannot be judged, for whoever reads the report.
    pub reason: String,
}

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The adapter in service, or the base model.
    Champion,
    /// The adapter that was just trained.
    Candidate,
}

impl Side {
    /// The name, as serde writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Champion => "champion",
            Self::Candidate => "candidate",
        }
    }
}

/// How many of the compared answers were cut off at their limit of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutAnswers {
    /// The limit, in tokens.
    pub max_new_tokens: usize,
    /// On the side of the candidate.
    pub candidate: usize,
    /// On the side of the champion.
    pub champion: usize,
}

/// The items that one side could not be judged on while the other could.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// On the side of the candidate.
    pub candidate: usize,
    /// On the side of the champion.
    pub champion: usize,
}

/// Champion and candidate on one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteReport {
    /// The suite's name.
    pub suite: String,
    /// Whose held-out samples it was made of, or that it stands for.
    pub domain: Option<Domain>,
    /// What its answers are scored by.
    pub metric: Metric,
    /// The reward plugin that judged, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Of all that a score on it depends on but the adapter.
    pub fingerprint: Fingerprint,
    /// Whether a loss here rejects.
    pub protected: bool,
    /// Whether a gain here promotes.
    pub target: bool,
    /// The tolerated loss that was used: the suite's own, or less where the champion scores low.
    pub margin: f64,
    /// Why it is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin_by: Option<MarginBy>,
    /// The items that were compared.
    pub n: usize,
    /// Those of them on which the two sides differ.
    #[serde(default)]
    pub discordant: usize,
    /// The items with which it would tell a loss of the margin from chance, at the churn that was seen
    /// ([`items_needed`](crate::items_needed)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_needed: Option<usize>,
    /// The smallest difference that it could have seen ([`Paired::smallest_seen`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_seen: Option<f64>,
    /// How far it was asked, where it was asked in batches or not to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Their tokens, where the score is a mean over tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// The items that were left out on both sides, since one or both could not be judged on them.
    pub unjudged: usize,
    /// Those of them that one side alone could not be judged on.
    #[serde(default, skip_serializing_if = "is_none")]
    pub faults: Faults,
    /// The first [`UNJUDGED_ITEMS_MAX`] of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unjudged_items: Vec<UnjudgedItem>,
    /// The answers that were cut off, where the metric is of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutAnswers>,
    /// The candidate's score as people read it ([`Metric::shown`]): a mean in `[0, 1]`, or a perplexity.
    pub candidate: f64,
    /// The same of the champion.
    pub champion: f64,
    /// The mean difference of the item scores and its bounds; positive is better, for perplexity too (nats per token).
    pub difference: Interval,
    /// The chance of so low a mean or a lower one if the two were alike ([`Paired::harm`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<f64>,
    /// The chance of so high a mean or a higher one if the two were alike ([`Paired::gain`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<f64>,
    /// What that means, beside all other suites.
    pub verdict: Verdict,
    /// The candidate beside the anchor, where one is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<AnchorReport>,
    /// Where the candidate lost most, worst first; at most [`WORST_ITEMS_MAX`].
    pub worst: Vec<WorstItem>,
    /// The differences, for those who compare suites together; not kept.
    #[serde(skip)]
    pub paired: Paired,
    /// Those of them that join other suites' where not all do, since how many there are depends on what was answered.
    #[serde(skip)]
    pub pooled: Option<Paired>,
}

// What serde asks for takes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_none(faults: &Faults) -> bool {
    *faults == Faults::default()
}

impl SuiteReport {
    /// A protected suite that was not asked yet.
    pub fn new(suite: impl Into<String>, metric: Metric, margin: f64) -> Self {
        let suite = suite.into();
        Self {
            fingerprint: Fingerprint::of(suite.as_bytes()),
            suite,
            domain: None,
            metric,
            plugin: None,
            protected: true,
            target: false,
            margin,
            margin_by: None,
            n: 0,
            discordant: 0,
            items_needed: None,
            smallest_seen: None,
            asked: None,
            tokens: None,
            unjudged: 0,
            faults: Faults::default(),
            unjudged_items: Vec::new(),
            cut: None,
            candidate: 0.0,
            champion: 0.0,
            difference: Interval::default(),
            harm: None,
            gain: None,
            verdict: Verdict::Void,
            anchor: None,
            worst: Vec::new(),
            paired: Paired::default(),
            pooled: None,
        }
    }

    /// With what these differences say under the margin that it has: all numbers of the comparison but the scores of the
    /// sides. The verdict is that of the suite alone; [`decide`](crate::decide) weighs it beside the others.
    #[must_use]
    pub fn measured(self, paired: Paired, policy: &Policy) -> Self {
        let n = paired.len();
        let difference = paired.interval(policy.confidence_charged(), policy.resamples, policy.seed, &self.suite);
        let report = Self {
            n,
            discordant: paired.discordant(),
            items_needed: items_at(self.margin, paired.variance_with(self.margin), 1, policy),
            smallest_seen: paired.smallest_seen(),
            difference,
            harm: (n > 0).then(|| paired.harm(policy.seed, &self.suite)),
            gain: (n > 0).then(|| paired.gain(policy.seed, &self.suite)),
            paired,
            ..self
        };
        let is_below = |chance: Option<f64>, level: f64| chance.is_some_and(|chance| chance <= level);
        let (harm, gain) = (is_below(report.harm, policy.harm_level()), is_below(report.gain, policy.gain_level()));
        Self { verdict: report.verdict_where(harm, gain, policy), ..report }
    }

    /// What its numbers say, where a loss (`harm`) or a gain is shown beside all suites that were asked.
    ///
    /// A score that rises never makes a verdict worse: it lowers no bound, and it makes harm no surer and a gain no less sure.
    pub(crate) fn verdict_where(&self, harm: bool, gain: bool, policy: &Policy) -> Verdict {
        let stopped = self.asked.map(|asked| asked.stopped);
        match stopped {
            Some(Stopped::Unknown) => return Verdict::Uncertain,
            _ if self.is_void(policy) => return Verdict::Void,
            Some(Stopped::Safe) => return Verdict::NotWorse,
            Some(Stopped::Harm) => return Verdict::Regressed,
            Some(Stopped::End) | None => {}
        }
        match (gain, self.is_not_worse(), harm) {
            (true, ..) => Verdict::Improved,
            (_, true, _) => Verdict::NotWorse,
            (.., true) => Verdict::Regressed,
            _ => Verdict::Uncertain,
        }
    }

    /// Whether too little could be judged.
    pub(crate) fn is_void(&self, policy: &Policy) -> bool {
        let Self { n, unjudged, faults, .. } = self;
        let items = (n + unjudged) as f64;
        // One bad item never decides.
        let faults_max = (policy.max_fault_ratio * items).max(1.0);
        let faults = faults.candidate.max(faults.champion) as f64;
        *n == 0 || *unjudged as f64 > policy.unjudged_ratio_max * items || faults > faults_max
    }

    /// Whether how far it was asked depends on what was answered: then no test of all items may decide.
    pub(crate) fn stopped_early(&self) -> bool {
        self.asked.is_some_and(|asked| asked.stopped != Stopped::End)
    }

    /// Whether it was asked too little to say anything, though it has the items.
    pub(crate) fn is_unknown(&self) -> bool {
        self.asked.is_some_and(|asked| asked.stopped == Stopped::Unknown)
    }

    /// Whether a loss beyond the margin is ruled out. A margin of 0 admits what lost nothing at all.
    fn is_not_worse(&self) -> bool {
        self.n > 0 && (self.difference.lower >= -self.margin || (self.margin == 0.0 && !self.paired.has_losses()))
    }
}
