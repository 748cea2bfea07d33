//! What champions after each other kept of what they could: their scores on the suites of the cycles that made them, kept beyond the
//! reports, which go with their folders.

use std::collections::BTreeMap;

use perennial_durable as durable;
use perennial_gate::{Metric, Report};
use perennial_types::{AdapterId, CycleId};
use serde::{Deserialize, Serialize};

use crate::{
    answers::{RetainedScore, Retention, SuiteRetention},
    cycle_folder::{CycleFolder, read_json},
    ports::Context,
};

/// Champions whose scores are kept.
const ROWS_MAX: usize = 200;

/// Suites of one of them.
const SUITES_MAX: usize = 128;

/// Scores of a suite that are told: the last.
const SCORES_TOLD_MAX: usize = 20;

/// A champion's scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Row {
    adapter: AdapterId,
    cycle: CycleId,
    scores: BTreeMap<String, f64>,
}

/// What is known of the champion's line, with what the reports of the moment add to it; `None` where nothing is.
///
/// # Errors
/// Where the registry fails, or the system refuses.
pub(super) fn retention(context: &Context) -> anyhow::Result<Option<Retention>> {
    let path = context.state.drift().join("retention.json");
    let mut rows: Vec<Row> = read_json(&path).unwrap_or_default().unwrap_or_default();
    let before = rows.len();
    let champions: Vec<AdapterId> =
        context.registry.promotions()?.into_iter().filter_map(|promotion| promotion.to).collect();
    let earliest = champions.len().saturating_sub(ROWS_MAX);
    for champion in &champions[earliest..] {
        if !rows.iter().any(|row| row.adapter == *champion) {
            rows.extend(row(context, champion)?);
        }
    }
    if rows.len() > before {
        rows.sort_by_key(|row| row.cycle);
        rows.drain(..rows.len().saturating_sub(ROWS_MAX));
        durable::create_folder_durably(&context.state.drift())?;
        durable::write_durably(&path, &serde_json::to_vec(&rows)?)?;
    }
    let champion = context.registry.champion()?;
    let last = rows.iter().position(|row| Some(&row.adapter) == champion.as_ref());
    Ok(last.map(|last| of_rows(&rows[..=last])))
}

/// Of its cycle's report, where that is still there: the scores that lie between 0 and 1.
fn row(context: &Context, champion: &AdapterId) -> anyhow::Result<Option<Row>> {
    let Some(adapter) = context.registry.adapter(champion)? else { return Ok(None) };
    let cycle = adapter.lineage.cycle;
    let folder = CycleFolder::new(context.state.cycle(cycle));
    // A report of another version says nothing here.
    let Some(report) = read_json::<Report>(&folder.report_json()).unwrap_or_default() else { return Ok(None) };
    let asked = report.suites.into_iter().filter(|suite| suite.n > 0 && suite.metric != Metric::Perplexity);
    let scores = asked.take(SUITES_MAX).map(|suite| (suite.suite, suite.candidate)).collect();
    Ok(Some(Row { adapter: champion.clone(), cycle, scores }))
}

/// With R\[t, i\] the score of champion t on suite i, and T the last: ACC is the mean over suites of R\[T, i\], BWT that of
/// R\[T, i\] − R\[first t with i, i\] over suites that an earlier champion was asked, and a suite is forgotten by the largest R\[t, i\]
/// of an earlier champion less R\[T, i\].
fn of_rows(rows: &[Row]) -> Retention {
    let Some((last, _)) = rows.split_last() else { return Retention::default() };
    let of_suite = |suite: &String| {
        let scores =
            rows.iter().filter_map(|row| Some(RetainedScore { cycle: row.cycle, score: *row.scores.get(suite)? }));
        let scores: Vec<RetainedScore> = scores.collect();
        let earlier = &scores[..scores.len().saturating_sub(1)];
        let best = earlier.iter().map(|earlier| earlier.score).max_by(f64::total_cmp);
        let forgetting = best.zip(scores.last()).map(|(best, last)| best - last.score);
        SuiteRetention { suite: suite.clone(), forgetting, scores }
    };
    let suites: Vec<SuiteRetention> = last.scores.keys().map(of_suite).collect();
    // The sum of nothing is −0.
    let mean = |values: Vec<f64>| (0.0 + values.iter().sum::<f64>()) / values.len().max(1) as f64;
    let backward = suites.iter().filter(|suite| suite.scores.len() > 1);
    let backward = backward.filter_map(|suite| Some(suite.scores.last()?.score - suite.scores.first()?.score));
    let bwt = mean(backward.collect());
    let told = |mut suite: SuiteRetention| {
        suite.scores.drain(..suite.scores.len().saturating_sub(SCORES_TOLD_MAX));
        suite
    };
    let suites = suites.into_iter().map(told).collect();
    Retention { acc: mean(last.scores.values().copied().collect()), bwt, suites }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_matrix() {
        let row = |cycle, scores: &[(&str, f64)]| Row {
            adapter: format!("{cycle:012}").parse().unwrap(),
            cycle: CycleId(cycle),
            scores: scores.iter().map(|(suite, score)| ((*suite).to_owned(), *score)).collect(),
        };
        let rows = [
            row(1, &[("a", 0.6), ("gone", 1.0)]),
            row(2, &[("a", 0.9), ("b", 0.5)]),
            row(3, &[("a", 0.7), ("b", 0.6), ("c", 0.2)]),
        ];
        let found = of_rows(&rows);
        assert!((found.acc - 0.5).abs() < 1e-12);
        assert!((found.bwt - 0.1).abs() < 1e-12, "the mean of 0.7 - 0.6 and 0.6 - 0.5");
        let forgotten: Vec<(&str, Option<f64>)> =
            found.suites.iter().map(|suite| (suite.suite.as_str(), suite.forgetting)).collect();
        assert_eq!(forgotten.iter().map(|(suite, _)| *suite).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert!((forgotten[0].1.unwrap() - 0.2).abs() < 1e-12 && (forgotten[1].1.unwrap() + 0.1).abs() < 1e-12);
        assert_eq!((forgotten[2].1, found.suites[0].scores.len()), (None, 3));
        assert_eq!(of_rows(&[]), Retention::default());
    }
}
