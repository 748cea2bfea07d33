use perennial_types::shortened;

use crate::{
    CutAnswers, Difference, Interval, ItemScore, LeftOut, Metric, Policy, Side, Suite, SuiteReport, SuiteScores,
    UNJUDGED_ITEMS_MAX, UnjudgedItem, Verdict, WORST_ITEM_CHARS_MAX, WORST_ITEMS_MAX, WorstItem, difference_interval,
    items_needed, power::reach,
};

#[cfg(test)]
mod tests;

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
    let (pairs, unjudged) = pairs(suite, candidate, champion);
    let (n, unjudged_count) = (pairs.len(), unjudged.len() + suite.left_out.len());
    let mean = |side: fn(&Pair) -> f64| {
        let (sum, weights) = pairs
            .iter()
            .fold((0.0, 0.0), |(sum, weights), pair| (sum + pair.weight * side(pair), weights + pair.weight));
        suite.metric.shown(if n == 0 { 0.0 } else { sum / weights })
    };
    let needed = items_needed(suite.metric, suite.reward.as_ref(), suite.margin, policy);
    let differences: Vec<Difference> = pairs.iter().map(Pair::difference).collect();
    let difference = within_reach(suite, difference_interval(&differences, policy, &suite.name));
    let left_out = suite.left_out.iter().map(|LeftOut { id, reason }| UnjudgedItem {
        id: id.clone(),
        side: None,
        reason: reason.clone(),
    });
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
        items_needed: needed,
        tokens: (suite.metric == Metric::Perplexity).then(|| pairs.iter().map(|pair| pair.weight as usize).sum()),
        unjudged: unjudged_count,
        unjudged_items: left_out.chain(unjudged).take(UNJUDGED_ITEMS_MAX).collect(),
        cut: cut_answers(suite, &pairs),
        candidate: mean(|pair| pair.candidate),
        champion: mean(|pair| pair.champion),
        difference,
        verdict: Verdict::of(n, unjudged_count, needed, &difference, suite.margin, policy),
        worst: worst(suite, candidate, champion, pairs),
    })
}

fn cut_answers(suite: &Suite, pairs: &[Pair]) -> Option<CutAnswers> {
    let count = |cut: fn(&Pair) -> bool| pairs.iter().filter(|pair| cut(pair)).count();
    (suite.metric != Metric::Perplexity).then(|| CutAnswers {
        max_new_tokens: suite.max_new_tokens,
        candidate: count(|pair| pair.candidate_cut),
        champion: count(|pair| pair.champion_cut),
    })
}

/// On a few items Student's bound reaches further than scores can differ.
fn within_reach(suite: &Suite, difference: Interval) -> Interval {
    let reach = reach(suite.metric, suite.reward.as_ref());
    Interval { mean: difference.mean, lower: difference.lower.max(-reach), upper: difference.upper.min(reach) }
}

struct Pair {
    item: usize,
    candidate: f64,
    champion: f64,
    /// What the item counts in the mean: its tokens, or 1.
    weight: f64,
    candidate_cut: bool,
    champion_cut: bool,
}

impl Pair {
    fn difference(&self) -> Difference {
        Difference { value: self.candidate - self.champion, weight: self.weight }
    }

    /// What the item adds to the loss of the whole: less than 0 where the candidate is worse.
    fn share(&self) -> f64 {
        self.weight * (self.candidate - self.champion)
    }
}

fn pairs(suite: &Suite, candidate: &SuiteScores, champion: &SuiteScores) -> (Vec<Pair>, Vec<UnjudgedItem>) {
    let (mut pairs, mut unjudged) = (Vec::new(), Vec::new());
    for (at, (item, both)) in suite.items.iter().zip(candidate.items.iter().zip(&champion.items)).enumerate() {
        match pair(at, both) {
            Ok(pair) => pairs.push(pair),
            Err((side, reason)) => unjudged.push(UnjudgedItem { id: item.id.clone(), side, reason }),
        }
    }
    (pairs, unjudged)
}

fn pair(item: usize, (candidate, champion): (&ItemScore, &ItemScore)) -> Result<Pair, (Option<Side>, String)> {
    let reason = |score: &ItemScore| match &score.unjudged {
        Some(unjudged) => unjudged.reason.clone(),
        None => "it has no score".to_owned(),
    };
    let (candidate_score, champion_score) = match (candidate.score, champion.score) {
        (Some(candidate), Some(champion)) => (candidate, champion),
        (None, None) => return Err((None, reason(candidate))),
        (None, Some(_)) => return Err((Some(Side::Candidate), reason(candidate))),
        (Some(_), None) => return Err((Some(Side::Champion), reason(champion))),
    };
    if candidate.tokens != champion.tokens {
        return Err((None, "the two sides were scored on different tokens of it".to_owned()));
    }
    Ok(Pair {
        item,
        candidate: candidate_score,
        champion: champion_score,
        weight: candidate.tokens.map_or(1.0, |tokens| tokens as f64),
        candidate_cut: candidate.cut,
        champion_cut: champion.cut,
    })
}

fn worst(suite: &Suite, candidate: &SuiteScores, champion: &SuiteScores, mut pairs: Vec<Pair>) -> Vec<WorstItem> {
    pairs.retain(|pair| pair.share() < 0.0);
    pairs.sort_by(|a, b| a.share().total_cmp(&b.share()).then(a.item.cmp(&b.item)));
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
    shortened(text, WORST_ITEM_CHARS_MAX)
}
