use perennial_types::{Domain, Fingerprint};
use serde::{Deserialize, Serialize};

use crate::{
    Interval, Metric, Policy, Suite, SuiteScores, difference_interval, metric::perplexity::NATS_PER_TOKEN_MAX,
};

/// The items on which the candidate lost most that a report keeps.
pub const WORST_ITEMS_MAX: usize = 5;
/// The longest question, reference or answer that a report keeps, in characters.
pub const WORST_ITEM_CHARS_MAX: usize = 2000;

/// What a comparison says of the candidate on one suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The lower bound of the difference is above 0.
    Improved,
    /// The lower bound is not below −margin: a loss beyond the margin is ruled out.
    NotWorse,
    /// The mean is within the margin, the lower bound is not: neither a loss nor its absence is shown.
    Uncertain,
    /// The mean itself is below −margin.
    Regressed,
    /// No item could be scored on both sides.
    Unmeasured,
}

impl Verdict {
    /// What a difference on `n` items says under a margin.
    pub fn of(n: usize, difference: &Interval, margin: f64) -> Self {
        if n == 0 {
            return Self::Unmeasured;
        }
        if difference.lower > 0.0 {
            return Self::Improved;
        }
        // At the bound counts as within it, so that a margin of 0 admits a candidate that answers just as the champion.
        if difference.lower >= -margin {
            return Self::NotWorse;
        }
        if difference.mean >= -margin { Self::Uncertain } else { Self::Regressed }
    }

    /// The word for tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Improved => "improved",
            Self::NotWorse => "not worse",
            Self::Uncertain => "uncertain",
            Self::Regressed => "regressed",
            Self::Unmeasured => "unmeasured",
        }
    }
}

/// An item on which the candidate lost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorstItem {
    /// The item's id.
    pub id: String,
    /// What was asked, cut to [`WORST_ITEM_CHARS_MAX`].
    pub question: String,
    /// The right answer, cut likewise.
    pub reference: String,
    /// What the candidate answered, cut likewise; `None` where the metric is a likelihood.
    pub candidate_answer: Option<String>,
    /// What the champion answered.
    pub champion_answer: Option<String>,
    /// The candidate's item score.
    pub candidate_score: f64,
    /// The champion's item score.
    pub champion_score: f64,
}

/// Champion and candidate on one suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuiteReport {
    /// The suite's name.
    pub suite: String,
    /// Its domain.
    pub domain: Option<Domain>,
    /// Its metric.
    pub metric: Metric,
    /// The reward plugin that judged, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// Its fingerprint.
    pub fingerprint: Fingerprint,
    /// Whether a loss here rejects.
    pub protected: bool,
    /// Whether a gain here promotes.
    pub target: bool,
    /// The tolerated loss.
    pub margin: f64,
    /// The items that were compared.
    pub n: usize,
    /// The items that one side or both could not score.
    pub unscored: usize,
    /// The candidate's score as people read it ([`Metric::shown`]): a mean in `[0, 1]`, or a perplexity.
    pub candidate: f64,
    /// The champion's.
    pub champion: f64,
    /// The mean difference of the item scores and its bounds; positive is better, for perplexity too (nats per token).
    pub difference: Interval,
    /// What that means.
    pub verdict: Verdict,
    /// Where the candidate lost most, worst first; at most [`WORST_ITEMS_MAX`].
    pub worst: Vec<WorstItem>,
}

/// Scores that do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The scores are of another suite, or of another state of it.
    #[error("suite {suite}: the {side}'s scores were taken on other items; evaluate it again")]
    Fingerprint {
        /// The suite.
        suite: String,
        /// `candidate` or `champion`.
        side: &'static str,
    },
}

/// Pairs the two sides item by item. Items that either side could not score are left out and counted.
///
/// # Errors
/// Where the scores were not taken on this very suite.
pub fn compare(
    suite: &Suite,
    candidate: &SuiteScores,
    champion: &SuiteScores,
    policy: &Policy,
) -> Result<SuiteReport, CompareError> {
    let fingerprint = suite.fingerprint();
    for (side, scores) in [("candidate", candidate), ("champion", champion)] {
        if scores.fingerprint != fingerprint || scores.items.len() != suite.items.len() {
            return Err(CompareError::Fingerprint { suite: suite.name.clone(), side });
        }
    }
    let pairs = pairs(candidate, champion);
    let n = pairs.len();
    let mean = |side: fn(&Pair) -> f64| suite.metric.shown(pairs.iter().map(side).sum::<f64>() / n.max(1) as f64);
    let differences: Vec<f64> = pairs.iter().map(Pair::difference).collect();
    let difference = within_reach(suite, difference_interval(&differences, policy, &suite.name));
    Ok(SuiteReport {
        suite: suite.name.clone(),
        domain: suite.domain.clone(),
        metric: suite.metric,
        plugin: suite.reward.as_ref().map(|reward| reward.plugin.clone()),
        fingerprint,
        protected: suite.protected,
        target: suite.target,
        margin: suite.margin,
        n,
        unscored: suite.items.len() - n,
        candidate: mean(|pair| pair.candidate),
        champion: mean(|pair| pair.champion),
        difference,
        verdict: Verdict::of(n, &difference, suite.margin),
        worst: worst(suite, candidate, champion, pairs),
    })
}

/// On a few items Student's bound reaches further than scores can differ.
fn within_reach(suite: &Suite, difference: Interval) -> Interval {
    let reach = match (suite.metric, &suite.reward) {
        (Metric::Perplexity, _) => NATS_PER_TOKEN_MAX,
        (_, Some(reward)) => reward.max - reward.min,
        _ => 1.0,
    };
    Interval { mean: difference.mean, lower: difference.lower.max(-reach), upper: difference.upper.min(reach) }
}

struct Pair {
    item: usize,
    candidate: f64,
    champion: f64,
}

impl Pair {
    fn difference(&self) -> f64 {
        self.candidate - self.champion
    }
}

fn pairs(candidate: &SuiteScores, champion: &SuiteScores) -> Vec<Pair> {
    let both = candidate.items.iter().zip(&champion.items).enumerate();
    both.filter_map(|(item, (candidate, champion))| {
        Some(Pair { item, candidate: candidate.score?, champion: champion.score? })
    })
    .collect()
}

fn worst(suite: &Suite, candidate: &SuiteScores, champion: &SuiteScores, mut pairs: Vec<Pair>) -> Vec<WorstItem> {
    pairs.retain(|pair| pair.difference() < 0.0);
    pairs.sort_by(|a, b| a.difference().total_cmp(&b.difference()).then(a.item.cmp(&b.item)));
    pairs.truncate(WORST_ITEMS_MAX);
    pairs
        .iter()
        .map(|pair| {
            let item = &suite.items[pair.item];
            let answer = |scores: &SuiteScores| scores.items[pair.item].answer.as_deref().map(cut);
            WorstItem {
                id: item.id.clone(),
                question: cut(&item.question.text()),
                reference: cut(&item.reference),
                candidate_answer: answer(candidate),
                champion_answer: answer(champion),
                candidate_score: pair.candidate,
                champion_score: pair.champion,
            }
        })
        .collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(WORST_ITEM_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ItemScore, SuiteOptions, parse_golden};

    const QUESTIONS: [&str; 3] = ["q0", "q1", "q2"];

    fn suite() -> Suite {
        let rows = QUESTIONS.map(|question| format!("{{\"prompt\": \"{question}\", \"completion\": \"yes\"}}"));
        parse_golden(&rows.join("\n"), "test", SuiteOptions::new("s")).unwrap()
    }

    fn scores(suite: &Suite, scores: [Option<f64>; 3]) -> SuiteScores {
        let item = |score| ItemScore { score, answer: Some(format!("{score:?}")) };
        SuiteScores { suite: suite.name.clone(), fingerprint: suite.fingerprint(), items: scores.map(item).to_vec() }
    }

    #[test]
    fn items_are_paired_and_the_worst_come_first() {
        let suite = suite();
        let candidate = scores(&suite, [Some(0.5), Some(0.0), Some(1.0)]);
        let champion = scores(&suite, [Some(0.75), Some(1.0), Some(0.5)]);
        let report = compare(&suite, &candidate, &champion, &Policy::default()).unwrap();
        assert_eq!((report.n, report.candidate, report.champion), (3, 0.5, 0.75));
        assert_eq!(report.difference.mean, -0.25);
        assert!((-1.0..-0.25).contains(&report.difference.lower));
        assert_eq!(report.verdict, Verdict::Regressed);
        let worst: Vec<&str> = report.worst.iter().map(|item| item.question.as_str()).collect();
        assert_eq!(worst, ["q1", "q0"]);
        assert_eq!(report.worst[0].champion_answer.as_deref(), Some("Some(1.0)"));
    }

    #[test]
    fn equal_answers_pass_with_a_margin_of_zero() {
        let suite = Suite { margin: 0.0, ..suite() };
        let side = scores(&suite, [Some(0.5), Some(0.0), Some(1.0)]);
        assert_eq!(compare(&suite, &side, &side, &Policy::default()).unwrap().verdict, Verdict::NotWorse);
    }

    #[test]
    fn unscored_items_are_left_out_on_both_sides() {
        let suite = suite();
        let candidate = scores(&suite, [Some(0.5), None, Some(1.0)]);
        let champion = scores(&suite, [Some(0.5), Some(1.0), None]);
        let report = compare(&suite, &candidate, &champion, &Policy::default()).unwrap();
        assert_eq!((report.n, report.unscored), (1, 2));
        let nothing = scores(&suite, [None; 3]);
        let report = compare(&suite, &nothing, &champion, &Policy::default()).unwrap();
        assert_eq!((report.n, report.verdict), (0, Verdict::Unmeasured));
    }

    #[test]
    fn scores_of_other_items_are_refused() {
        let suite = suite();
        let side = scores(&suite, [Some(0.5); 3]);
        let longer = Suite { max_new_tokens: 9, ..suite.clone() };
        let error = compare(&longer, &side, &side, &Policy::default()).unwrap_err();
        assert_eq!(error.to_string(), "suite s: the candidate's scores were taken on other items; evaluate it again");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(WORST_ITEM_CHARS_MAX)).chars().count(), WORST_ITEM_CHARS_MAX);
        assert_eq!(cut(&"ü".repeat(WORST_ITEM_CHARS_MAX + 1)).chars().count(), WORST_ITEM_CHARS_MAX + 1);
    }
}
