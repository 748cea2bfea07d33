use perennial_types::AdapterId;
use serde::{Deserialize, Serialize};

use crate::{Interval, Paired, Policy, Suite, SuiteScores, Verdict};

/// The adapter that a person accepted, and that candidates may not fall behind in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// `None`: the base model alone.
    pub adapter: Option<AdapterId>,
}

/// What candidate and anchor answered. Their items may be another draw than the champion's, of the same metric.
#[derive(Clone, Copy, Debug)]
pub struct AnchorAnswers<'a> {
    /// The items that both were asked.
    pub suite: &'a Suite,
    /// The candidate's scores on them.
    pub candidate: &'a SuiteScores,
    /// The same of the anchor.
    pub anchor: &'a SuiteScores,
}

/// Candidate and anchor on one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnchorReport {
    /// The items that were compared.
    pub n: usize,
    /// Those of them on which the two differ.
    pub discordant: usize,
    /// The anchor's score on them as people read it.
    pub score: f64,
    /// The candidate's on the same.
    pub candidate: f64,
    /// The mean difference of the item scores, candidate minus anchor, and its bounds.
    pub difference: Interval,
    /// The loss that is tolerated in all, in the units of the score.
    pub margin: f64,
    /// The chance of so low a mean or a lower one if the two were alike; `None` where nothing was compared.
    pub harm: Option<f64>,
    /// The chance of so high a mean or a higher one if the two were alike.
    pub gain: Option<f64>,
    /// The smallest difference that it could have seen ([`Paired::smallest_seen`]).
    pub smallest_seen: Option<f64>,
    /// What that means: [`Verdict::Regressed`] refuses.
    pub verdict: Verdict,
    /// The differences, for those who compare suites together; not kept.
    #[serde(skip)]
    pub paired: Paired,
}

/// Standard errors from 0 to a mean that chance alone gives once in 1000.
const MEAN_ERRORS: f64 = 3.09;
/// The share of items on which two models differ that are many cycles apart, at worst: half of them, as fair coins do.
const CHURN_APART: f64 = 0.5;

impl AnchorReport {
    /// What these differences say. The verdict is that of the suite alone; [`decide`](crate::decide) weighs it beside the
    /// others. `salt` is the suite's name.
    pub fn measured(paired: Paired, [candidate, anchor]: [f64; 2], salt: &str, policy: &Policy) -> Self {
        let n = paired.len();
        let report = Self {
            n,
            discordant: paired.discordant(),
            score: anchor,
            candidate,
            difference: paired.interval(policy.confidence_charged(), policy.resamples, policy.seed, salt),
            margin: policy.anchor_margin * paired.scale().unit(),
            harm: (n > 0).then(|| paired.harm(policy.seed, salt)),
            gain: (n > 0).then(|| paired.gain(policy.seed, salt)),
            smallest_seen: paired.smallest_seen(),
            verdict: Verdict::Uncertain,
            paired,
        };
        let harm = report.harm.is_some_and(|chance| chance <= policy.harm_level());
        report.settled(harm)
    }

    /// With the verdict, where harm is shown (or not) beside all suites.
    ///
    /// Harm refuses unless a loss beyond the tolerated one is ruled out; and so does a mean that lies beyond it by itself,
    /// where the items are so many that chance alone would not put it there.
    #[must_use]
    pub(crate) fn settled(self, harm: bool) -> Self {
        let Self { n, difference, margin, .. } = &self;
        let variance = CHURN_APART * self.paired.scale().unit().powi(2);
        let is_plain = *n > 0 && *n as f64 >= (MEAN_ERRORS / margin.max(f64::MIN_POSITIVE)).powi(2) * variance;
        let verdict = match () {
            () if *n == 0 => Verdict::Void,
            () if is_plain && difference.mean < -margin => Verdict::Regressed,
            () if difference.lower >= -margin => Verdict::NotWorse,
            () if harm => Verdict::Regressed,
            () => Verdict::Uncertain,
        };
        Self { verdict, ..self }
    }
}
