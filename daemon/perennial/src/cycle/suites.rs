//! The suites of a cycle: the golden ones from the configuration and one for each domain's held-out samples, frozen when
//! the evaluation begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use anyhow::{Context as _, bail};
use perennial_data::mix::{self, Origin};
use perennial_durable as durable;
use perennial_gate::{LeftOut, RewardScale, Suite, SuiteError, SuiteOptions, auto_suite, load_golden};
use perennial_registry::SampleRecord;
use perennial_types::{Domain, Fingerprint, Fingerprinter, Sample};
use tracing::info;

use super::{CycleFolder, Scope, notes};
use crate::{
    config::{self, AutoSuite, Config},
    questions,
    rewards::Plugins,
    stored,
};

/// The lines of a golden suite that a refusal names.
const PROBLEMS_SHOWN_MAX: usize = 5;

/// The suites as they were frozen, or as they are now, which freezes them.
pub(super) fn freeze(scope: &Scope<'_>, plugins: Option<&Plugins>) -> anyhow::Result<Vec<Suite>> {
    if let Some(suites) = read(&scope.folder)? {
        return Ok(suites);
    }
    let mut suites = gather(scope, plugins)?;
    name_targets(&scope.folder, &mut suites)?;
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
    read_file(&folder.suites())
}

/// The golden suites as they were frozen, or as they are now, which freezes them: when samples are collected, so that what
/// is kept out of training and what is asked afterwards are the same. Plugins are frozen later: of those that judge, no more
/// than the name is known here.
pub(super) fn freeze_golden(scope: &Scope<'_>) -> anyhow::Result<Vec<Suite>> {
    let path = scope.folder.golden();
    if let Some(suites) = read_file(&path)? {
        return Ok(suites);
    }
    let suites = golden(scope.config);
    durable::write_durably(&path, &serde_json::to_vec(&suites)?)?;
    Ok(suites)
}

fn read_file(path: &Path) -> anyhow::Result<Option<Vec<Suite>>> {
    match fs::read(path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json).with_context(|| path.display().to_string())?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn gather(scope: &Scope<'_>, plugins: Option<&Plugins>) -> anyhow::Result<Vec<Suite>> {
    let mut suites = freeze_golden(scope)?;
    for suite in &mut suites {
        suite.reward = scale(plugins, suite.reward.as_ref().map(|reward| reward.plugin.as_str()))?;
    }
    let (held_out, trained) = held_out(scope)?;
    notes::write(&scope.folder, "5-suites", &trained_on(trained))?;
    for (domain, records) in held_out {
        let samples: Vec<Sample> = stored::read_samples(&scope.parts.context.state, &records)?.into_values().collect();
        match auto_suite(auto_options(scope.config, &domain, plugins)?, &samples) {
            Ok(suite) => suites.push(suite),
            // Preferences and bare prompts alone make no suite; that is no reason not to judge the other domains.
            Err(SuiteError::Empty(_)) => info!(%domain, "no held-out sample has one right answer: no auto suite"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(suites)
}

/// The golden suites of the configuration, read from their files. One whose file is gone or empty is void, by that reason:
/// a cycle that is under way is not ended by what became of a file.
fn golden(config: &Config) -> Vec<Suite> {
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

/// The held-out samples by domain, but for those that ask what was trained on, and how many those are.
fn held_out(scope: &Scope<'_>) -> anyhow::Result<(BTreeMap<Domain, Vec<SampleRecord>>, usize)> {
    let registry = &scope.parts.context.registry;
    questions::fill(&scope.parts.context)?;
    let (_, rows) = mix::read_mix(scope.folder.path())?;
    let mut trained: BTreeSet<Fingerprint> = rows.iter().map(|row| row.sample.body.question_fingerprint()).collect();
    trained.extend(registry.held_out_questions_trained_on()?);
    let (mut domains, mut dropped): (BTreeMap<Domain, Vec<SampleRecord>>, usize) = (BTreeMap::new(), 0);
    for record in registry.held_out_samples(None)? {
        if record.question.is_some_and(|question| trained.contains(&question)) {
            dropped += 1;
        } else {
            domains.entry(record.domain.clone()).or_default().push(record);
        }
    }
    Ok((domains, dropped))
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

fn auto_options(config: &Config, domain: &Domain, plugins: Option<&Plugins>) -> anyhow::Result<SuiteOptions> {
    let AutoSuite { items_max, metric, plugin, protected, target, margin, max_new_tokens } =
        config.gate.auto_of(domain);
    Ok(SuiteOptions {
        domain: Some(domain.clone()),
        metric,
        reward: scale(plugins, plugin.as_deref())?,
        protected,
        target,
        margin,
        max_new_tokens,
        prompt_as_chat: config.ingest.prompt_as_chat,
        items_max,
        ..SuiteOptions::new(format!("auto:{domain}"))
    })
}

/// What a suite has to know of the plugin that judges it.
fn scale(plugins: Option<&Plugins>, name: Option<&str>) -> anyhow::Result<Option<RewardScale>> {
    let Some(name) = name else { return Ok(None) };
    let plugin = plugins.and_then(|plugins| plugins.named(name));
    let plugin = plugin.with_context(|| format!("no [[reward.plugin]] is called {name:?}"))?;
    let (identity, descriptor) = (plugin.identity(), plugin.descriptor());
    let fingerprint =
        Fingerprinter::new().part(identity.hash.as_bytes()).part(identity.config_hash.as_bytes()).finish();
    Ok(Some(RewardScale { plugin: name.to_owned(), fingerprint, min: descriptor.min, max: descriptor.max }))
}
