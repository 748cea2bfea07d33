//! Champion and candidate, each asked every suite. What came of it is kept in the cycle's folder; scores are also kept item by
//! item beside all cycles, so that what was asked is not asked again: not after a crash, not when the candidate of one
//! cycle is the champion of the next, and not when a suite has one item more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
};

use anyhow::Context as _;
use perennial_data::mix;
use perennial_durable as durable;
use perennial_gate::{EvaluateError, Item, ItemScore, Judge, Suite, SuiteScores, evaluate_items};
use perennial_learn::{adapter::Adapter, model::Model};
use perennial_registry::{Product, store};
use perennial_types::{AdapterId, Fingerprint};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CycleFolder, Scope, Step, scores::ScoreCache, suites};
use crate::{
    clock,
    judge::{Interrupted, ModelJudge},
    rewards::{Plugins, Sandbox},
    stage::StageManifest,
};

/// Both sides on all suites, in the order of the suites: `scores.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Evaluation {
    pub(super) champion: Vec<SuiteScores>,
    pub(super) candidate: Vec<SuiteScores>,
}

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let plugins = plugins(scope)?;
    let suites = suites::freeze(scope, plugins.as_ref())?;
    if ask(scope, &suites, plugins.as_ref())?.is_none() {
        return Ok(Step::Stopped);
    }
    let fingerprints: BTreeMap<String, Fingerprint> =
        suites.iter().map(|suite| (suite.name.clone(), suite.fingerprint())).collect();
    let items: usize = suites.iter().map(|suite| suite.items.len()).sum();
    let detail = json!({ "suites": suites.len(), "items": items });
    let (product, registry) = (Product::Evaluated { suites: &fingerprints }, &scope.parts.context.registry);
    registry.record_phase(scope.cycle.id, product, &detail, clock::now_ms())?;
    Ok(Step::Done)
}

/// What came of the evaluation; asked again where the file is not there or not whole. `None` where the work is to stop.
pub(super) fn evaluation(scope: &Scope<'_>, suites: &[Suite]) -> anyhow::Result<Option<Evaluation>> {
    match read(&scope.folder)? {
        Some(evaluation) => Ok(Some(evaluation)),
        None => ask(scope, suites, plugins(scope)?.as_ref()),
    }
}

/// What came of the evaluation; `None` where the file is not there or not whole.
pub(super) fn read(folder: &CycleFolder) -> anyhow::Result<Option<Evaluation>> {
    let path = folder.scores();
    match fs::read(&path) {
        Ok(json) => Ok(serde_json::from_slice(&json)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "scores cannot be read"))
            .ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn ask(scope: &Scope<'_>, suites: &[Suite], plugins: Option<&Plugins>) -> anyhow::Result<Option<Evaluation>> {
    let Scope { parts, cycle, config, .. } = scope;
    let model = parts.engine.model(&config.model)?.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let candidate = cycle.candidate.as_ref().with_context(|| format!("cycle {} has no candidate", cycle.id))?;
    let champion = ask_side(scope, &model, cycle.champion.as_ref(), suites, plugins)?;
    let Some((champion, cache)) = champion else { return Ok(None) };
    let Some((candidate, _)) = ask_side(scope, &model, Some(candidate), suites, plugins)? else { return Ok(None) };
    // The last that was used is the last to go.
    cache.touch();
    let evaluation = Evaluation { champion, candidate };
    durable::write_durably(&scope.folder.scores(), &serde_json::to_vec(&evaluation)?)?;
    Ok(Some(evaluation))
}

/// The plugins that the cycle froze; `None` where there are none.
fn plugins(scope: &Scope<'_>) -> anyhow::Result<Option<Plugins>> {
    let Scope { parts, config, folder, .. } = scope;
    let manifest = StageManifest::read(&mix::read_manifest(folder.path())?)?;
    if manifest.plugins.is_empty() {
        return Ok(None);
    }
    let sandbox = Sandbox::open(&config.reward, Some(&parts.context.state.plugin_cache()))?;
    Ok(Some(Plugins::load_frozen(sandbox, &manifest.plugins, folder)?))
}

/// Asks one side the items that it was not asked yet. `side` of `None` is the base model alone.
fn ask_side(
    scope: &Scope<'_>,
    model: &Model,
    side: Option<&AdapterId>,
    suites: &[Suite],
    plugins: Option<&Plugins>,
) -> anyhow::Result<Option<(Vec<SuiteScores>, ScoreCache)>> {
    let parts = scope.parts;
    let known = |id| parts.context.registry.adapter(id)?.with_context(|| format!("there is no adapter {id}"));
    let known = side.map(known).transpose()?;
    let length_max = scope.config.train.max_length.min(model.config.positions_max);
    let files = known.as_ref().map(|adapter| adapter.files);
    let cache = ScoreCache::of(&parts.context.state, model, files.as_ref(), length_max)?;
    let mut asked: Vec<Asked<'_>> = suites.iter().map(|suite| Asked::new(suite, &cache)).collect();
    let items: u64 = asked.iter().map(|asked| asked.missing().len() as u64).sum();
    if items > 0 {
        let adapter = side.zip(files.as_ref()).map(|(id, files)| load_adapter(scope, model, id, files)).transpose()?;
        let mut judge = ModelJudge {
            model,
            adapter: adapter.as_ref(),
            plugins,
            length_max,
            stop: scope.stop,
            telemetry: &parts.context.telemetry,
            items,
            judged: 0,
        };
        for asked in &mut asked {
            match asked.ask(&mut judge, &cache) {
                Ok(()) => {}
                Err(error) if is_stop(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
    cache.touch();
    let scores = asked.into_iter().map(Asked::scores).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Some((scores, cache)))
}

fn is_stop(error: &anyhow::Error) -> bool {
    let judge = error.downcast_ref::<EvaluateError>();
    matches!(judge, Some(EvaluateError::Judge { source, .. }) if source.is::<Interrupted>())
}

fn load_adapter(scope: &Scope<'_>, model: &Model, id: &AdapterId, files: &Fingerprint) -> anyhow::Result<Adapter> {
    let state = &scope.parts.context.state;
    store::verify_adapter(&state.adapters(), files)?;
    let adapter = Adapter::load_peft(&state.adapter(id))?;
    adapter.check_fits(&model.config)?;
    Ok(adapter)
}

/// One side on one suite: what is known of its items.
struct Asked<'a> {
    suite: &'a Suite,
    /// The name of each item's score, in the suite's order.
    keys: Vec<Fingerprint>,
    known: BTreeMap<Fingerprint, ItemScore>,
}

impl<'a> Asked<'a> {
    fn new(suite: &'a Suite, cache: &ScoreCache) -> Self {
        let keys = suite.items.iter().map(|item| suite.item_fingerprint(item)).collect();
        Self { suite, keys, known: cache.read(&suite.name) }
    }

    /// The items that have no score, each question once.
    fn missing(&self) -> BTreeMap<Fingerprint, &'a Item> {
        let items = self.keys.iter().copied().zip(&self.suite.items);
        items.filter(|(key, _)| !self.known.contains_key(key)).collect()
    }

    fn ask(&mut self, judge: &mut dyn Judge, cache: &ScoreCache) -> anyhow::Result<()> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let items: Vec<&Item> = missing.values().copied().collect();
        let scores = evaluate_items(self.suite, &items, judge)?;
        self.known.extend(missing.keys().copied().zip(scores));
        let keys: BTreeSet<&Fingerprint> = self.keys.iter().collect();
        self.known.retain(|key, _| keys.contains(key));
        cache.write(&self.suite.name, &self.known)
    }

    fn scores(self) -> anyhow::Result<SuiteScores> {
        let score =
            |key| self.known.get(key).cloned().with_context(|| format!("an item of {} has no score", self.suite.name));
        let items = self.keys.iter().map(score).collect::<anyhow::Result<_>>()?;
        Ok(SuiteScores { suite: self.suite.name.clone(), fingerprint: self.suite.fingerprint(), items })
    }
}

#[cfg(test)]
mod tests {
    use perennial_gate::{Answer, JudgeError, Judged, Likelihood, SuiteOptions, parse_golden};

    use super::*;

    /// Answers with the question, and notes what it was asked.
    #[derive(Default)]
    struct Counting(Vec<String>);

    impl Judge for Counting {
        fn answer(&mut self, items: &[&Item], _: usize) -> Result<Vec<Judged<Answer>>, JudgeError> {
            self.0.extend(items.iter().map(|item| item.question.text()));
            Ok(items.iter().map(|item| Ok(Answer { text: item.question.text(), cut: false })).collect())
        }

        fn negative_log_likelihood(&mut self, _: &[&Item]) -> Result<Vec<Judged<Likelihood>>, JudgeError> {
            Ok(Vec::new())
        }

        fn rewards(&mut self, _: &str, _: &[(&Item, &str)]) -> Result<Vec<Judged<f64>>, JudgeError> {
            Ok(Vec::new())
        }
    }

    fn suite(questions: &[&str]) -> Suite {
        let row = |question: &&str| format!("{{\"prompt\": \"{question}\", \"completion\": \"a\"}}");
        let rows: Vec<String> = questions.iter().map(row).collect();
        parse_golden(&rows.join("\n"), "g", SuiteOptions::new("s")).unwrap()
    }

    #[test]
    fn a_suite_with_one_item_more_asks_that_one_alone() {
        let root = tempfile::tempdir().unwrap();
        let cache = ScoreCache::in_folder(root.path().join("side"));
        let mut judge = Counting::default();
        let mut ask = |suite: &Suite| {
            let mut asked = Asked::new(suite, &cache);
            asked.ask(&mut judge, &cache).unwrap();
            let scores = asked.scores().unwrap();
            (std::mem::take(&mut judge.0), scores.items.iter().map(|item| item.score).collect::<Vec<_>>())
        };
        let (mut first, scores) = ask(&suite(&["a", "b", "a"]));
        first.sort();
        assert_eq!((first, scores), (vec!["a".to_owned(), "b".to_owned()], vec![Some(1.0), Some(0.0), Some(1.0)]));
        let (more, scores) = ask(&suite(&["new", "b", "a"]));
        assert_eq!((more, scores), (vec!["new".to_owned()], vec![Some(0.0), Some(0.0), Some(1.0)]));
        // What is no longer asked is no longer kept.
        assert_eq!(ask(&suite(&["a"])).0, Vec::<String>::new());
        assert_eq!(ask(&Suite { max_new_tokens: 1, ..suite(&["a"]) }).0, ["a"]);
        assert_eq!(ask(&suite(&["b"])).0, ["b"]);
    }
}
