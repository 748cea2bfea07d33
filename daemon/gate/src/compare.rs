use perennial_types::shortened;

use crate::{
    AnchorAnswers, AnchorReport, Asked, CutAnswers, Difference, Faults, ItemScore, LeftOut, Metric, Paired, Policy,
    Scale, Side, Stopped, Suite, SuiteReport, SuiteScores, UNJUDGED_ITEMS_MAX, UnjudgedItem, WORST_ITEM_CHARS_MAX,
    WORST_ITEMS_MAX, WorstItem, margin,
};

#[cfg(test)]
mod tests;

/// Scores that do not belong together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// The scores are of another suite, or of another state of it.
    #[error("suite {suite}: the {side}'s scores were taken on other items; evaluate it again")]
    Fingerprint {
        /// By its name.
        suite: String,
        /// `candidate`, `champion` or `anchor`.
        side: &'static str,
    },
    /// The anchor was asked by another metric.
    #[error("suite {suite}: the anchor's items are scored otherwise; evaluate them again")]
    Metric {
        /// By its name.
        suite: String,
    },
}

/// The answers to one suite.
#[derive(Clone, Copy, Debug)]
pub struct Answers<'a> {
    /// Scores of the candidate.
    pub candidate: &'a SuiteScores,
    /// Those of the champion, on the same items.
    pub champion: &'a SuiteScores,
    /// Candidate's and anchor's, where one is pinned.
    pub anchor: Option<AnchorAnswers<'a>>,
}

impl<'a> Answers<'a> {
    /// Without an anchor.
    pub fn new(candidate: &'a SuiteScores, champion: &'a SuiteScores) -> Self {
        Self { candidate, champion, anchor: None }
    }
}

/// Pairs the sides item by item. Items that either side could not score are left out and counted.
///
/// # Errors
/// Where the scores were not taken on this very suite, or the anchor's not on theirs.
pub fn compare(suite: &Suite, answers: &Answers<'_>, policy: &Policy) -> Result<SuiteReport, CompareError> {
    let Answers { candidate, champion, anchor } = *answers;
    check(suite, &suite.name, [("candidate", candidate), ("champion", champion)])?;
    let Sides { pairs, unjudged, faults } = pairs(suite, candidate, champion);
    let shown = [mean(suite.metric, &pairs, |pair| pair.candidate), mean(suite.metric, &pairs, |pair| pair.champion)];
    let score = if pairs.is_empty() { 0.0 } else { raw_mean(&pairs, |pair| pair.champion) };
    let (margin, by) = margin::used(suite.metric, suite.reward.as_ref(), score, suite.margin, policy);
    let left_out = suite.left_out.iter().map(|LeftOut { id, reason }| UnjudgedItem {
        id: id.clone(),
        side: None,
        reason: reason.clone(),
    });
    let report = SuiteReport {
        domain: suite.domain.clone(),
        plugin: suite.reward.as_ref().map(|reward| reward.plugin.clone()),
        fingerprint: suite.fingerprint(),
        protected: suite.protected,
        target: suite.target,
        margin_by: Some(by),
        tokens: (suite.metric == Metric::Perplexity).then(|| pairs.iter().map(|pair| pair.weight as usize).sum()),
        unjudged: unjudged.len() + suite.left_out.len(),
        faults,
        unjudged_items: left_out.chain(unjudged).take(UNJUDGED_ITEMS_MAX).collect(),
        cut: cut_answers(suite, &pairs),
        candidate: shown[0],
        champion: shown[1],
        asked: spared(candidate, champion),
        anchor: anchor.map(|answers| beside_anchor(suite, &answers, policy)).transpose()?,
        ..SuiteReport::new(&suite.name, suite.metric, margin)
    };
    let report = report.measured(paired(suite, &pairs), policy);
    Ok(SuiteReport { worst: worst(suite, candidate, champion, pairs), ..report })
}

/// How far a suite was asked that was not asked to its end.
fn spared(candidate: &SuiteScores, champion: &SuiteScores) -> Option<Asked> {
    let asked = |(candidate, champion): &(&ItemScore, &ItemScore)| !candidate.unasked && !champion.unasked;
    let (items, of) = (candidate.items.iter().zip(&champion.items).filter(asked).count(), candidate.items.len());
    (items < of).then_some(Asked { items, of, stopped: Stopped::Unknown })
}

fn beside_anchor(suite: &Suite, answers: &AnchorAnswers<'_>, policy: &Policy) -> Result<AnchorReport, CompareError> {
    let AnchorAnswers { suite: drawn, candidate, anchor } = *answers;
    check(drawn, &suite.name, [("candidate", candidate), ("anchor", anchor)])?;
    if drawn.metric != suite.metric {
        return Err(CompareError::Metric { suite: suite.name.clone() });
    }
    let Sides { pairs, .. } = pairs(drawn, candidate, anchor);
    let shown = [mean(suite.metric, &pairs, |pair| pair.candidate), mean(suite.metric, &pairs, |pair| pair.champion)];
    Ok(AnchorReport::measured(paired(drawn, &pairs), shown, &suite.name, policy))
}

fn check(suite: &Suite, name: &str, sides: [(&'static str, &SuiteScores); 2]) -> Result<(), CompareError> {
    let fingerprint = suite.fingerprint();
    for (side, scores) in sides {
        if scores.fingerprint != fingerprint || scores.items.len() != suite.items.len() {
            return Err(CompareError::Fingerprint { suite: name.to_owned(), side });
        }
    }
    Ok(())
}

fn paired(suite: &Suite, pairs: &[Pair]) -> Paired {
    let scale = Scale::of(suite.metric, suite.reward.as_ref(), suite.margin);
    let clusters = suite.clusters();
    Paired::new(scale, pairs.iter().map(Pair::difference).collect())
        .in_clusters(pairs.iter().map(|pair| clusters[pair.item]).collect())
}

/// As people read it.
fn mean(metric: Metric, pairs: &[Pair], side: fn(&Pair) -> f64) -> f64 {
    metric.shown(if pairs.is_empty() { 0.0 } else { raw_mean(pairs, side) })
}

fn raw_mean(pairs: &[Pair], side: fn(&Pair) -> f64) -> f64 {
    let add = |(sum, weights), pair: &Pair| (sum + pair.weight * side(pair), weights + pair.weight);
    let (sum, weights) = pairs.iter().fold((0.0, 0.0), add);
    sum / weights
}

fn cut_answers(suite: &Suite, pairs: &[Pair]) -> Option<CutAnswers> {
    let count = |cut: fn(&Pair) -> bool| pairs.iter().filter(|pair| cut(pair)).count();
    (suite.metric != Metric::Perplexity).then(|| CutAnswers {
        max_new_tokens: suite.max_new_tokens,
        candidate: count(|pair| pair.candidate_cut),
        champion: count(|pair| pair.champion_cut),
    })
}

pub(crate) struct Pair {
    item: usize,
    candidate: f64,
    pub(crate) champion: f64,
    /// What the item counts in the mean: its tokens, or 1.
    weight: f64,
    candidate_cut: bool,
    champion_cut: bool,
}

impl Pair {
    pub(crate) fn difference(&self) -> Difference {
        Difference { value: self.candidate - self.champion, weight: self.weight }
    }

    /// What the item adds to the loss of the whole: less than 0 where the candidate is worse.
    fn share(&self) -> f64 {
        self.weight * (self.candidate - self.champion)
    }
}

pub(crate) struct Sides {
    pub(crate) pairs: Vec<Pair>,
    pub(crate) unjudged: Vec<UnjudgedItem>,
    pub(crate) faults: Faults,
}

fn pairs(suite: &Suite, candidate: &SuiteScores, champion: &SuiteScores) -> Sides {
    pairs_at(suite, 0..suite.items.len(), &candidate.items, &champion.items)
}

/// The items at these places that both were asked, in their order.
pub(crate) fn pairs_at(
    suite: &Suite,
    places: impl Iterator<Item = usize>,
    candidate: &[ItemScore],
    champion: &[ItemScore],
) -> Sides {
    let mut sides = Sides { pairs: Vec::new(), unjudged: Vec::new(), faults: Faults::default() };
    let at = |at: usize| Some((at, suite.items.get(at)?, (candidate.get(at)?, champion.get(at)?)));
    for (at, item, both) in places.filter_map(at) {
        if both.0.unasked || both.1.unasked {
            continue;
        }
        match pair(at, both) {
            Ok(pair) => sides.pairs.push(pair),
            Err((side, reason)) => {
                sides.faults.candidate += usize::from(side == Some(Side::Candidate));
                sides.faults.champion += usize::from(side == Some(Side::Champion));
                sides.unjudged.push(UnjudgedItem { id: item.id.clone(), side, reason });
            }
        }
    }
    sides
}

fn pair(item: usize, (candidate, champion): (&ItemScore, &ItemScore)) -> Result<Pair, (Option<Side>, String)> {
    let reason = |score: &ItemScore| match (&score.unjudged, score.score) {
        (Some(unjudged), _) => unjudged.reason.clone(),
        (None, Some(_)) => "its score is not a number".to_owned(),
        (None, None) => "it has no score".to_owned(),
    };
    let finite = |score: &ItemScore| score.score.filter(|score| score.is_finite());
    let (candidate_score, champion_score) = match (finite(candidate), finite(champion)) {
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
