//! Champion, candidate and anchor, each asked its suites. What came of it is kept in the cycle's folder.

use std::{collections::BTreeMap, fs, io, slice};

use anyhow::Context as _;
use perennial_data::mix;
use perennial_durable as durable;
use perennial_gate::{Batches, Side as Who, Suite, SuiteScores};
use perennial_registry::Product;
use perennial_types::Fingerprint;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    CycleFolder, Scope, Step,
    anchor::{self, AnchorScores, Anchored},
    batches::{self, unasked},
    learned::Tries,
    policy::policy,
    side::{Asker, Side},
    suites,
};
use crate::{
    clock,
    rewards::{Plugins, Sandbox},
    stage::StageManifest,
};

/// Both sides on all suites, in the order of the suites: `scores.json`.
#[derive(Serialize, Deserialize)]
pub(super) struct Evaluation {
    pub(super) champion: Vec<SuiteScores>,
    pub(super) candidate: Vec<SuiteScores>,
    /// What the anchor's comparison rests on, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anchor: Option<AnchorScores>,
    /// What was asked in batches, where anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) batches: Option<Batches>,
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
    let Scope { parts, cycle, config, folder, stop } = scope;
    let model = parts.engine.model(&config.model)?.with_prompt_as_chat(config.ingest.prompt_as_chat);
    let candidate = cycle.candidate.as_ref().with_context(|| format!("cycle {} has no candidate", cycle.id))?;
    let asker = Asker {
        state: &parts.context.state,
        registry: &parts.context.registry,
        model: &model,
        plugins,
        length_max: config.train.max_length,
        stop,
        telemetry: &parts.context.telemetry,
    };
    let (candidate, champion) = (Side::Stored(candidate.clone()), Side::of(cycle.champion.as_ref()));
    let sequential = &config.gate.sequential;
    let batches = match sequential.enabled {
        true => Batches::of(suites, sequential.batch_items, Tries::of(scope)?.earlier),
        false => None,
    };
    let policy = policy(&config.gate, cycle.seed);
    let mut one = |who, part: &Suite| {
        let side = if who == Who::Champion { &champion } else { &candidate };
        Ok(asker.ask(side, slice::from_ref(part))?.and_then(|mut scores| scores.pop()))
    };
    let Some(batched) = batches::ask(suites, batches.as_ref(), &policy, &mut one)? else { return Ok(None) };
    let rest: Vec<Suite> = suites.iter().filter(|suite| !batched.scores.contains_key(&suite.name)).cloned().collect();
    let rest = match batched.harm_shown {
        // The candidate is refused, whatever the rest would say.
        true => Rest { both: [rest.iter().map(unasked).collect(), rest.iter().map(unasked).collect()], anchor: None },
        false => match ask_rest(&asker, folder, [&champion, &candidate], &rest)? {
            Some(rest) => rest,
            None => return Ok(None),
        },
    };
    let [champion, candidate] = batched.with(suites, rest.both);
    let evaluation = Evaluation { champion, candidate, anchor: rest.anchor, batches };
    durable::write_durably(&folder.scores(), &serde_json::to_vec(&evaluation)?)?;
    Ok(Some(evaluation))
}

/// What is asked at once.
struct Rest {
    /// Champion and candidate.
    both: [Vec<SuiteScores>; 2],
    anchor: Option<AnchorScores>,
}

fn ask_rest(
    asker: &Asker<'_>,
    folder: &CycleFolder,
    [champion, candidate]: [&Side; 2],
    suites: &[Suite],
) -> anyhow::Result<Option<Rest>> {
    let anchored = anchor::read(folder)?.filter(|anchored| !anchored.suites.is_empty());
    let anchor = match &anchored {
        None => None,
        Some(Anchored { adapter, suites }) => {
            let Some(theirs) = asker.ask(&Side::of(adapter.as_ref()), suites)? else { return Ok(None) };
            let Some(ours) = asker.ask(candidate, suites)? else { return Ok(None) };
            Some(AnchorScores { candidate: ours, anchor: theirs })
        }
    };
    let Some(ours) = asker.ask(candidate, suites)? else { return Ok(None) };
    // The last that was used is the last to go.
    let Some(theirs) = asker.ask(champion, suites)? else { return Ok(None) };
    Ok(Some(Rest { both: [theirs, ours], anchor }))
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
