//! The suites of a cycle: the golden ones from the configuration and one for each domain's held-out samples, their items
//! drawn for the cycle and frozen when the evaluation begins.

use std::collections::BTreeSet;

use anyhow::bail;
use perennial_data::mix::{self, Origin};
use perennial_durable as durable;
use perennial_gate::{LeftOut, RewardScale, Suite, SuiteOptions, load_golden};
use perennial_types::{CycleId, Fingerprint};

use super::{
    CycleFolder, Scope,
    anchor::Anchored,
    held_out::{Maker, Pool, draw_from, pools, scale, vault_name},
    notes,
};
use crate::{
    config::{self, Config},
    cycle_folder::read_json,
    draw::Purpose,
    pin, questions,
    rewards::Plugins,
};

/// The lines of a golden suite that a refusal names.
const PROBLEMS_SHOWN_MAX: usize = 5;

/// The suites as they were frozen, or as they are now, which freezes them.
pub(super) fn freeze(scope: &Scope<'_>, plugins: Option<&Plugins>) -> anyhow::Result<Vec<Suite>> {
    if let Some(suites) = read(&scope.folder)? {
        return Ok(suites);
    }
    let Gathered { mut suites, anchored } = gather(scope, plugins)?;
    name_targets(&scope.folder, &mut suites)?;
    if let Some(anchored) = anchored {
        durable::write_durably(&scope.folder.anchor(), &serde_json::to_vec(&anchored)?)?;
    }
    durable::write_durably(&scope.folder.suites(), &serde_json::to_vec(&suites)?)?;
    Ok(suites)
}

/// Leaves as targets those that can show what was new in the cycle; named before anything is asked.
pub(super) fn name_targets(folder: &CycleFolder, suites: &mut [Suite]) -> anyhow::Result<()> {
    let (_, rows) = mix::read_mix(folder.path())?;
    let new = rows.into_iter().filter(|row| row.origin == Origin::New).map(|row| row.sample.domain).collect();
    perennial_gate::name_targets(suites, &new);
    Ok(())
}

/// The suites as they were frozen; `None` where they were not yet.
pub(super) fn read(folder: &CycleFolder) -> anyhow::Result<Option<Vec<Suite>>> {
    read_json(&folder.suites())
}

/// The golden suites as they were frozen, or as they are now, which freezes them: when samples are collected, so that what
/// is kept out of training and what is asked afterwards are the same. Plugins are frozen later: of those that judge, no more
/// than the name is known here.
pub(super) fn freeze_golden(scope: &Scope<'_>) -> anyhow::Result<Vec<Suite>> {
    let path = scope.folder.golden();
    if let Some(suites) = read_json(&path)? {
        return Ok(suites);
    }
    let suites = golden(scope.config);
    durable::write_durably(&path, &serde_json::to_vec(&suites)?)?;
    Ok(suites)
}

/// The suites of the cycle, each with the items that were drawn for it, and what the anchor is asked.
struct Gathered {
    suites: Vec<Suite>,
    anchored: Option<Anchored>,
}

fn gather(scope: &Scope<'_>, plugins: Option<&Plugins>) -> anyhow::Result<Gathered> {
    let Scope { parts, cycle, config, folder, .. } = scope;
    let registry = &parts.context.registry;
    let adapter = if config.gate.anchor.enabled { Some(pin::anchor(registry)?.adapter) } else { None };
    // A champion that is the anchor is asked anyway.
    let anchored_max = match &adapter {
        Some(adapter) if *adapter != cycle.champion => config.gate.anchor.items_max,
        _ => 0,
    };
    let (mut suites, mut anchored) = (Vec::new(), Vec::new());
    for mut pool in freeze_golden(scope)? {
        pool.reward = scale(plugins, pool.reward.as_ref().map(|reward| reward.plugin.as_str()))?;
        if anchored_max > 0 && (pool.protected || pool.target) {
            anchored.push(draw_from(&pool, anchored_max, Purpose::Anchor, cycle.seed));
        }
        suites.push(draw_from(&pool, config.gate.golden_items_max(&pool.name), Purpose::Champion, cycle.seed));
    }
    questions::fill(&parts.context)?;
    let (pools, trained) = pools(config, registry, &trained_questions(scope)?)?;
    notes::write(folder, "5-suites", &trained_on(trained))?;
    let metrics = registry.suite_metrics()?;
    let maker = Maker { config, state: &parts.context.state, plugins, metrics, seed: cycle.seed };
    for Pool { domain, open, vault } in pools {
        let options = maker.options(&domain)?;
        let Some(suite) = maker.suite(options.clone(), &open, Purpose::Champion)? else { continue };
        if maker.chooses_metric(&domain) {
            registry.fix_suite_metric(&suite.name, suite.metric.as_str(), cycle.id)?;
        }
        let options = SuiteOptions { metric: Some(suite.metric), ..options };
        if anchored_max > 0 && (suite.protected || suite.target) {
            let wider = SuiteOptions { items_max: anchored_max, ..options.clone() };
            anchored.extend(maker.suite(wider, &open, Purpose::Anchor)?);
        }
        suites.push(suite);
        if is_time_for_the_vault(cycle.id, config.gate.vault_cycles) {
            let aside = SuiteOptions { name: vault_name(&domain), protected: false, target: false, ..options };
            suites.extend(maker.suite(aside, &vault, Purpose::Vault)?);
        }
    }
    Ok(Gathered { suites, anchored: adapter.map(|adapter| Anchored { adapter, suites: anchored }) })
}

/// Whether a cycle asks the vault: what is asked often is no vault.
fn is_time_for_the_vault(cycle: CycleId, cycles: u64) -> bool {
    cycle.0.is_multiple_of(cycles.max(1))
}

/// What the mix asks, and what else was trained on of what held-out samples ask.
fn trained_questions(scope: &Scope<'_>) -> anyhow::Result<BTreeSet<Fingerprint>> {
    let (_, rows) = mix::read_mix(scope.folder.path())?;
    let mut trained: BTreeSet<Fingerprint> = rows.iter().map(|row| row.sample.body.question_fingerprint()).collect();
    trained.extend(scope.parts.context.registry.held_out_questions_trained_on()?);
    Ok(trained)
}

/// The golden suites of the configuration, read from their files. One whose file is gone or empty is void, by that reason:
/// a cycle that is under way is not ended by what became of a file.
pub(super) fn golden(config: &Config) -> Vec<Suite> {
    let load = |suite: &config::Suite| {
        let options = golden_options(config, suite);
        load_golden(&suite.file, options.clone()).unwrap_or_else(|error| {
            let (id, reason) = (suite.file.display().to_string(), error.to_string());
            Suite::void(options, vec![LeftOut { id, reason }])
        })
    };
    config.gate.suite.iter().map(load).collect()
}

/// The golden suites of the configuration, for those who have not begun anything yet.
///
/// # Errors
/// Where one cannot be read, or one of its lines could not be asked: all of them are named, up to a limit for each suite.
pub(crate) fn check_golden(config: &Config) -> anyhow::Result<Vec<Suite>> {
    let load = |suite: &config::Suite| {
        let loaded = load_golden(&suite.file, golden_options(config, suite))?;
        if loaded.left_out.is_empty() {
            return Ok(loaded);
        }
        let shown =
            loaded.left_out.iter().take(PROBLEMS_SHOWN_MAX).map(|LeftOut { id, reason }| format!("{id}: {reason}"));
        let more = match loaded.left_out.len().saturating_sub(PROBLEMS_SHOWN_MAX) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        bail!("suite {}: {}{more}", suite.name, shown.collect::<Vec<_>>().join("; "));
    };
    config.gate.suite.iter().map(load).collect()
}

/// A golden suite of the configuration, for those who ask outside a cycle.
///
/// # Errors
/// Where it cannot be read, or its plugin is not there.
pub(crate) fn golden_suite(config: &Config, suite: &config::Suite, plugins: Option<&Plugins>) -> anyhow::Result<Suite> {
    let reward = scale(plugins, suite.plugin.as_deref())?;
    Ok(load_golden(&suite.file, SuiteOptions { reward, ..golden_options(config, suite) })?)
}

fn golden_options(config: &Config, suite: &config::Suite) -> SuiteOptions {
    // Which version of a plugin judges makes no difference to what can be asked; it is known once plugins are frozen.
    let unknown =
        |plugin: &String| RewardScale { plugin: plugin.clone(), fingerprint: Fingerprint::of(b""), min: 0.0, max: 1.0 };
    SuiteOptions {
        metric: suite.metric,
        reward: suite.plugin.as_ref().map(unknown),
        protected: suite.protected,
        target: suite.target,
        margin: config.gate.margin_of(suite),
        max_new_tokens: suite.max_new_tokens,
        prompt_as_chat: config.ingest.prompt_as_chat,
        items_max: usize::MAX,
        ..SuiteOptions::new(&suite.name)
    }
}

/// Copies came to stand on both sides where they were split by an older program.
fn trained_on(samples: usize) -> Vec<String> {
    if samples == 0 {
        return Vec::new();
    }
    vec![format!(
        "Left out of the auto suites, since samples that ask the same were trained on: {samples} held-out samples."
    )]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vault_is_asked_once_in_so_many_cycles() {
        let asked: Vec<u64> = (1..=9).filter(|id| is_time_for_the_vault(CycleId(*id), 4)).collect();
        assert_eq!(asked, [4, 8]);
        assert!(is_time_for_the_vault(CycleId(3), 1));
    }
}
