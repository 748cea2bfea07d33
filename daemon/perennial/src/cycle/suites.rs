//! The suites of a cycle: the golden ones from the configuration and one for each domain's held-out samples, frozen when
//! the evaluation begins.

use std::{collections::BTreeMap, fs, io};

use anyhow::Context as _;
use perennial_data::durable;
use perennial_gate::{RewardScale, Suite, SuiteError, SuiteOptions, auto_suite, load_golden};
use perennial_registry::SampleRecord;
use perennial_types::{Domain, Fingerprinter, Sample};
use tracing::info;

use super::Scope;
use crate::{
    config::{self, Config},
    indexer,
    rewards::Plugins,
};

/// The suites as they were frozen, or as they are now, which freezes them.
pub(super) fn freeze(scope: &Scope<'_>, plugins: Option<&Plugins>) -> anyhow::Result<Vec<Suite>> {
    if let Some(suites) = read(scope)? {
        return Ok(suites);
    }
    let suites = gather(scope, plugins)?;
    durable::write_durably(&scope.folder.suites(), &serde_json::to_vec(&suites)?)?;
    Ok(suites)
}

/// The suites as they were frozen; `None` where they were not yet.
pub(super) fn read(scope: &Scope<'_>) -> anyhow::Result<Option<Vec<Suite>>> {
    let path = scope.folder.suites();
    match fs::read(&path) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json).with_context(|| path.display().to_string())?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn gather(scope: &Scope<'_>, plugins: Option<&Plugins>) -> anyhow::Result<Vec<Suite>> {
    let mut suites = golden(scope.config, plugins)?;
    for (domain, records) in held_out(scope)? {
        let samples: Vec<Sample> = indexer::read_samples(&scope.parts.context.state, &records)?.into_values().collect();
        match auto_suite(auto_options(&scope.config.gate, &domain, plugins)?, &samples) {
            Ok(suite) => suites.push(suite),
            // Preferences and bare prompts alone make no suite; that is no reason not to judge the other domains.
            Err(SuiteError::Empty(_)) => info!(%domain, "no held-out sample has one right answer: no auto suite"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(suites)
}

/// The golden suites of the configuration, read from their files.
pub(crate) fn golden(config: &Config, plugins: Option<&Plugins>) -> anyhow::Result<Vec<Suite>> {
    let load = |suite: &config::Suite| {
        let options = SuiteOptions {
            metric: suite.metric,
            reward: scale(plugins, suite.plugin.as_deref())?,
            protected: suite.protected,
            target: suite.target,
            margin: suite.margin.unwrap_or(config.gate.margin),
            max_new_tokens: suite.max_new_tokens,
            items_max: usize::MAX,
            ..SuiteOptions::new(&suite.name)
        };
        Ok(load_golden(&suite.file, options)?)
    };
    config.gate.suite.iter().map(load).collect()
}

fn held_out(scope: &Scope<'_>) -> anyhow::Result<BTreeMap<Domain, Vec<SampleRecord>>> {
    let mut domains: BTreeMap<Domain, Vec<SampleRecord>> = BTreeMap::new();
    for record in scope.parts.context.registry.held_out_samples(None)? {
        domains.entry(record.domain.clone()).or_default().push(record);
    }
    Ok(domains)
}

fn auto_options(gate: &config::Gate, domain: &Domain, plugins: Option<&Plugins>) -> anyhow::Result<SuiteOptions> {
    let auto = &gate.auto;
    let own = auto.domain.get(domain).cloned().unwrap_or_default();
    // A domain that names a metric of its own does not take the plugin of all the others along.
    let (metric, plugin) = match own.metric {
        Some(metric) => (Some(metric), own.plugin),
        None => (auto.metric, own.plugin.or_else(|| auto.plugin.clone())),
    };
    Ok(SuiteOptions {
        domain: Some(domain.clone()),
        metric,
        reward: scale(plugins, plugin.as_deref())?,
        protected: own.protected.unwrap_or(auto.protected),
        target: own.target.unwrap_or(auto.target),
        margin: own.margin.unwrap_or(gate.margin),
        max_new_tokens: own.max_new_tokens.unwrap_or(auto.max_new_tokens),
        items_max: own.items_max.unwrap_or(auto.items_max),
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
