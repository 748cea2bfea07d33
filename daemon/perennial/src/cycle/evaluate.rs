//! Champion and candidate, each asked every suite. Scores are kept by what determines them, so that a suite that was asked
//! is not asked again: not after a crash, and not when the candidate of one cycle is the champion of the next.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::Context as _;
use perennial_data::{durable, mix};
use perennial_gate::{EvaluateError, Suite, SuiteScores, evaluate};
use perennial_learn::{adapter::Adapter, model::Model};
use perennial_registry::{Product, publish};
use perennial_types::{AdapterId, Fingerprint, Fingerprinter};
use serde_json::json;

use super::{Scope, Step, suites};
use crate::{
    clock,
    judge::{Interrupted, ModelJudge},
    rewards::{Plugins, Sandbox},
    stage::StageManifest,
};

pub(super) fn run(scope: &Scope<'_>) -> anyhow::Result<Step> {
    let Scope { parts, cycle, config, .. } = scope;
    let model = parts.engine.model(&config.model)?;
    let plugins = plugins(scope)?;
    let suites = suites::freeze(scope, plugins.as_ref())?;
    let candidate = cycle.candidate.as_ref().with_context(|| format!("cycle {} has no candidate", cycle.id))?;
    for side in [cycle.champion.as_ref(), Some(candidate)] {
        if score(scope, &model, side, &suites, plugins.as_ref())? == Step::Stopped {
            return Ok(Step::Stopped);
        }
    }
    let fingerprints: BTreeMap<String, Fingerprint> =
        suites.iter().map(|suite| (suite.name.clone(), suite.fingerprint())).collect();
    let items: usize = suites.iter().map(|suite| suite.items.len()).sum();
    let detail = json!({ "suites": suites.len(), "items": items });
    let product = Product::Evaluated { suites: &fingerprints };
    parts.context.registry.record_phase(cycle.id, product, &detail, clock::now_ms())?;
    Ok(Step::Done)
}

/// The plugins that the cycle froze; `None` where there are none.
fn plugins(scope: &Scope<'_>) -> anyhow::Result<Option<Plugins>> {
    let Scope { parts, config, folder, .. } = scope;
    let (manifest, _) = mix::read_mix(folder.path())?;
    let manifest = StageManifest::read(&manifest)?;
    if manifest.plugins.is_empty() {
        return Ok(None);
    }
    let sandbox = Sandbox::open(&config.reward, Some(&parts.context.state.plugin_cache()))?;
    Ok(Some(Plugins::load_frozen(sandbox, &manifest.plugins, folder)?))
}

/// Asks one side the suites that it was not asked yet. `None` is the base model alone.
fn score(
    scope: &Scope<'_>,
    model: &Model,
    side: Option<&AdapterId>,
    suites: &[Suite],
    plugins: Option<&Plugins>,
) -> anyhow::Result<Step> {
    let asked = |suite: &&Suite| read(scope, &model.fingerprint, side, suite).map(|scores| scores.is_some());
    let mut left = Vec::new();
    for suite in suites {
        if !asked(&suite)? {
            left.push(suite);
        }
    }
    if left.is_empty() {
        return Ok(Step::Done);
    }
    let adapter = side.map(|id| load_adapter(scope, model, id)).transpose()?;
    let mut judge = ModelJudge {
        model,
        adapter: adapter.as_ref(),
        plugins,
        max_fault_ratio: scope.config.reward.max_fault_ratio,
        length_max: scope.config.train.max_length.min(model.config.positions_max),
        stop: scope.stop,
        telemetry: &scope.parts.context.telemetry,
    };
    for suite in left {
        let scores = match evaluate(suite, &mut judge) {
            Ok(scores) => scores,
            Err(EvaluateError::Judge { source, .. }) if source.is::<Interrupted>() => return Ok(Step::Stopped),
            Err(error) => return Err(error.into()),
        };
        durable::write_durably(&path(scope, &model.fingerprint, side, suite), &serde_json::to_vec(&scores)?)?;
    }
    Ok(Step::Done)
}

fn load_adapter(scope: &Scope<'_>, model: &Model, id: &AdapterId) -> anyhow::Result<Adapter> {
    let parts = scope.parts;
    let known = parts.context.registry.adapter(id)?.with_context(|| format!("there is no adapter {id}"))?;
    publish::verify_adapter(&parts.context.state.adapters(), &known.files)?;
    let adapter = Adapter::load_peft(&parts.context.state.adapter(id))?;
    adapter.check_fits(&model.config)?;
    Ok(adapter)
}

/// The scores of a side on a suite, where it was asked.
pub(super) fn read(
    scope: &Scope<'_>,
    base: &Fingerprint,
    side: Option<&AdapterId>,
    suite: &Suite,
) -> anyhow::Result<Option<SuiteScores>> {
    let path = path(scope, base, side, suite);
    match fs::read(&path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json).with_context(|| path.display().to_string())?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Named by all that determines the scores: the program, the base and its precision, the adapter, the suite, and how much of a body is read.
fn path(scope: &Scope<'_>, base: &Fingerprint, side: Option<&AdapterId>, suite: &Suite) -> PathBuf {
    let name = Fingerprinter::new()
        .part(env!("CARGO_PKG_VERSION").as_bytes())
        .part(base.as_bytes())
        .part(scope.config.model.precision.resolve().as_str().as_bytes())
        .part(side.map_or("", AdapterId::as_str).as_bytes())
        .part(suite.name.as_bytes())
        .part(suite.fingerprint().as_bytes())
        .part(&(scope.config.train.max_length as u64).to_le_bytes())
        .finish();
    scope.parts.context.state.scores().join(format!("{}.json", name.short(32)))
}
