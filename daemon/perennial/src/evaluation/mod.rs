//! Any adapters on any suites, outside a cycle: for those who want to know before they promote, pin or configure anything.
//! Answers that were given before are not asked for again, and those that are given now spare a cycle.

mod beside;
mod interval;
mod table;
mod which;
mod who;

use anyhow::Context as _;
use perennial_gate::{Answers, Metric, Policy, Suite, SuiteReport, SuiteScores, compare};
use perennial_learn::model::Model;
use serde::Serialize;

pub(crate) use self::{beside::check_room, table::render, who::adapter_of};
use self::{interval::of_scores, which::suites, who::contestants};
use crate::{
    cycle::{policy, preflight, side::Asker},
    ports::{Context, Stop},
};

/// More than that is no comparison that anybody reads, and each costs an answer to every item.
const ADAPTERS_MAX: usize = 8;

/// Of each bound, so that both together hold in 95 of 100 cases.
const CONFIDENCE: f64 = 0.975;

/// What somebody asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// Adapters, in the words of [`who`]; the base, the anchor and the champion where it is empty.
    pub(crate) adapters: Vec<String>,
    /// Suites, in the words of [`which`]; all that decide where it is empty.
    pub(crate) suites: Vec<String>,
    /// Items of each suite at most; as configured where it is `None`.
    pub(crate) items_max: Option<usize>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Evaluated {
    /// The adapters, by the names that the rest goes by.
    pub(crate) adapters: Vec<String>,
    pub(crate) suites: Vec<EvaluatedSuite>,
}

/// All adapters on one suite.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EvaluatedSuite {
    pub(crate) suite: String,
    pub(crate) metric: Metric,
    pub(crate) items: usize,
    /// Items that were not asked, since nothing could be said of any answer to them.
    pub(crate) left_out: usize,
    /// One for each adapter.
    pub(crate) scores: Vec<Score>,
    /// Each adapter against each that was named before it.
    pub(crate) differences: Vec<PairDifference>,
}

/// An adapter's score on a suite, as people read it, with the bounds of a 95 % interval.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Score {
    pub(crate) adapter: String,
    /// The items that were judged.
    pub(crate) n: usize,
    pub(crate) score: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

/// The mean difference of two adapters over the items that both were judged on, with the bounds of a 95 % interval; above 0
/// the first is better. For perplexity, in nats per token.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PairDifference {
    pub(crate) adapter: String,
    pub(crate) against: String,
    pub(crate) n: usize,
    pub(crate) discordant: usize,
    pub(crate) mean: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

/// Asks all adapters all suites. `None` where it was told to stop; what was answered by then is kept.
///
/// # Errors
/// Where an adapter or a suite is unknown or does not fit, or the model fails.
pub(crate) fn run(
    context: &Context,
    model: &Model,
    request: &Request,
    stop: &Stop,
) -> anyhow::Result<Option<Evaluated>> {
    let config = context.config.current();
    let contestants = contestants(context, &request.adapters)?;
    let plugins = preflight::plugins(&config, Some(&context.state.plugin_cache()))?;
    let suites = suites(context, &config, plugins.as_ref(), request)?;
    let model = &model.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let asker = Asker {
        state: &context.state,
        registry: &context.registry,
        model,
        plugins: plugins.as_ref(),
        length_max: config.train.max_length,
        stop,
        telemetry: &context.telemetry,
    };
    let mut sides = Vec::with_capacity(contestants.len());
    for (name, side) in contestants {
        let asked = asker.ask(&side, &suites).with_context(|| format!("adapter {name}"))?;
        let Some(scores) = asked else { return Ok(None) };
        sides.push((name, scores));
    }
    let policy = Policy { confidence: CONFIDENCE, ..policy(&config.gate, config.cycle.seed) };
    let compared = suites.iter().enumerate().map(|(at, suite)| {
        let sides: Vec<(&str, &SuiteScores)> =
            sides.iter().filter_map(|(name, scores)| Some((name.as_str(), scores.get(at)?))).collect();
        evaluated(suite, &sides, &policy)
    });
    let suites = compared.collect::<anyhow::Result<_>>()?;
    Ok(Some(Evaluated { adapters: sides.into_iter().map(|(name, _)| name).collect(), suites }))
}

fn evaluated(suite: &Suite, sides: &[(&str, &SuiteScores)], policy: &Policy) -> anyhow::Result<EvaluatedSuite> {
    let scores = sides.iter().map(|(name, scores)| of_scores(suite, name, scores, policy)).collect();
    let mut differences = Vec::new();
    for (at, (adapter, ours)) in sides.iter().enumerate() {
        for (against, theirs) in &sides[..at] {
            let SuiteReport { n, discordant, difference, .. } = compare(suite, &Answers::new(ours, theirs), policy)?;
            differences.push(PairDifference {
                adapter: (*adapter).to_owned(),
                against: (*against).to_owned(),
                n,
                discordant,
                mean: difference.mean,
                lower: difference.lower,
                upper: difference.upper,
            });
        }
    }
    Ok(EvaluatedSuite {
        suite: suite.name.clone(),
        metric: suite.metric,
        items: suite.items.len(),
        left_out: suite.left_out.len(),
        scores,
        differences,
    })
}
