//! One side that is asked: the base model with an adapter, or without one. What it answered before is kept, item by item, beside
//! all cycles, so that nothing is asked twice: not after a crash, not when the candidate of one cycle is the champion or the
//! anchor of later ones, and not when a suite has one item more.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context as _;
use perennial_gate::{EvaluateError, Item, ItemScore, Judge, Suite, SuiteScores, evaluate_items};
use perennial_learn::{adapter::Adapter, model::Model};
use perennial_registry::{Registry, store};
use perennial_types::{AdapterId, Fingerprint};

use super::scores::ScoreCache;
use crate::{
    judge::{Interrupted, ModelJudge},
    ports::Stop,
    rewards::Plugins,
    state::StateDir,
    telemetry::Telemetry,
};

/// The answers of one side that are kept for a suite at most; beyond it, those that were not asked for last go.
const SCORES_KEPT_MAX: usize = 20_000;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The base model alone.
    Base,
    /// An adapter of the registry.
    Stored(AdapterId),
    /// An adapter that lies somewhere else, with the fingerprint of its files.
    Folder(PathBuf, Fingerprint),
}

impl Side {
    /// The side of the registry's `None` for the base model.
    pub(crate) fn of(adapter: Option<&AdapterId>) -> Self {
        adapter.map_or(Self::Base, |adapter| Self::Stored(adapter.clone()))
    }

    /// The fingerprint of its adapter's files.
    fn files(&self, registry: &Registry) -> anyhow::Result<Option<Fingerprint>> {
        Ok(match self {
            Self::Base => None,
            Self::Stored(id) => Some(registry.adapter(id)?.with_context(|| format!("there is no adapter {id}"))?.files),
            Self::Folder(_, files) => Some(*files),
        })
    }

    /// The folder of its adapter, verified; `None` for the base model.
    ///
    /// # Errors
    /// Where it is unknown or damaged.
    pub(crate) fn folder(&self, state: &StateDir, registry: &Registry) -> anyhow::Result<Option<PathBuf>> {
        match (self, self.files(registry)?) {
            (Self::Stored(id), Some(files)) => {
                store::verify_adapter(&state.adapters(), &files)?;
                Ok(Some(state.adapter(id)))
            }
            (Self::Folder(folder, _), _) => Ok(Some(folder.clone())),
            _ => Ok(None),
        }
    }

    /// Its adapter, verified and fit for this model; `None` for the base model.
    ///
    /// # Errors
    /// Where it is unknown, damaged, or of another model.
    pub(crate) fn load(&self, state: &StateDir, registry: &Registry, model: &Model) -> anyhow::Result<Option<Adapter>> {
        let Some(folder) = self.folder(state, registry)? else { return Ok(None) };
        let adapter = Adapter::load_peft(&folder)?;
        adapter.check_fits(&model.config)?;
        Ok(Some(adapter))
    }
}

/// Asks sides, all with the same model and plugins.
pub(crate) struct Asker<'a> {
    pub(crate) state: &'a StateDir,
    pub(crate) registry: &'a Registry,
    pub(crate) model: &'a Model,
    /// Who judges where the metric is a reward.
    pub(crate) plugins: Option<&'a Plugins>,
    /// As `train.max_length`.
    pub(crate) length_max: usize,
    pub(crate) stop: &'a Stop,
    pub(crate) telemetry: &'a Telemetry,
}

impl Asker<'_> {
    /// Asks one side the items that it was not asked yet. `None` where the work is to stop.
    pub(crate) fn ask(&self, side: &Side, suites: &[Suite]) -> anyhow::Result<Option<Vec<SuiteScores>>> {
        let length_max = self.length_max.min(self.model.config.positions_max);
        let files = side.files(self.registry)?;
        let cache = ScoreCache::of(self.state, self.model, files.as_ref(), length_max)?;
        let mut asked: Vec<Asked<'_>> = suites.iter().map(|suite| Asked::new(suite, &cache)).collect();
        let items: u64 = asked.iter().map(|asked| asked.missing().len() as u64).sum();
        if items > 0 {
            let adapter = side.load(self.state, self.registry, self.model)?;
            let mut judge = ModelJudge {
                model: self.model,
                adapter: adapter.as_ref(),
                plugins: self.plugins,
                length_max,
                stop: self.stop,
                telemetry: self.telemetry,
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
        Ok(Some(asked.into_iter().map(Asked::scores).collect::<anyhow::Result<Vec<_>>>()?))
    }
}

fn is_stop(error: &anyhow::Error) -> bool {
    let judge = error.downcast_ref::<EvaluateError>();
    matches!(judge, Some(EvaluateError::Judge { source, .. }) if source.is::<Interrupted>())
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
        let mut beyond = self.known.len().saturating_sub(SCORES_KEPT_MAX);
        let asked: BTreeSet<&Fingerprint> = self.keys.iter().collect();
        self.known.retain(|key, _| {
            let goes = beyond > 0 && !asked.contains(key);
            beyond -= usize::from(goes);
            !goes
        });
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
        // What another draw asked is kept for the next.
        assert_eq!(ask(&suite(&["a"])).0, Vec::<String>::new());
        assert_eq!(ask(&Suite { max_new_tokens: 1, ..suite(&["a"]) }).0, ["a"]);
        assert_eq!(ask(&suite(&["b"])).0, Vec::<String>::new());
    }
}
