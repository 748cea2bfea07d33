//! The suites of a cycle: the golden ones from the configuration and one for each domain's held-out samples, frozen when
//! the evaluation begins.

use std::{collections::BTreeMap, fs, io};

use anyhow::Context as _;
use perennial_data::durable;
use perennial_gate::{Metric, Suite, SuiteError, SuiteOptions, auto_suite, load_golden};
use perennial_registry::SampleRecord;
use perennial_types::{Domain, Sample};
use tracing::info;

use super::Scope;
use crate::{
    config::{self, Config},
    indexer,
};

/// The suites as they were frozen, or as they are now, which freezes them.
pub(super) fn frozen(scope: &Scope<'_>) -> anyhow::Result<Vec<Suite>> {
    let path = scope.folder.suites();
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).with_context(|| path.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let suites = gather(scope)?;
            durable::write_durably(&path, &serde_json::to_vec(&suites)?)?;
            Ok(suites)
        }
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn gather(scope: &Scope<'_>) -> anyhow::Result<Vec<Suite>> {
    let mut suites = golden(scope.config)?;
    for (domain, records) in held_out(scope)? {
        let samples: Vec<Sample> = indexer::read_samples(&scope.parts.context.state, &records)?.into_values().collect();
        match auto_suite(auto_options(&scope.config.gate, &domain), &samples) {
            Ok(suite) => suites.push(suite),
            // Preferences and bare prompts alone make no suite; that is no reason not to judge the other domains.
            Err(SuiteError::Empty(_)) => info!(%domain, "no held-out sample has one right answer: no auto suite"),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(suites)
}

/// The golden suites of the configuration, read from their files.
pub(crate) fn golden(config: &Config) -> anyhow::Result<Vec<Suite>> {
    let load = |suite: &config::Suite| {
        let options = SuiteOptions {
            metric: suite.metric,
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

fn auto_options(gate: &config::Gate, domain: &Domain) -> SuiteOptions {
    let auto = &gate.auto;
    let own = auto.domain.get(domain).cloned().unwrap_or_default();
    let metric: Option<Metric> = own.metric.or(auto.metric);
    SuiteOptions {
        domain: Some(domain.clone()),
        metric,
        protected: own.protected.unwrap_or(auto.protected),
        target: own.target.unwrap_or(auto.target),
        margin: own.margin.unwrap_or(gate.margin),
        max_new_tokens: own.max_new_tokens.unwrap_or(auto.max_new_tokens),
        items_max: own.items_max.unwrap_or(auto.items_max),
        ..SuiteOptions::new(format!("auto:{domain}"))
    }
}
