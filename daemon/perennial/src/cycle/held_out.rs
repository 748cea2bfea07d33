//! Suites made of held-out samples: which samples there are to ask, which of them are drawn, and how they are scored.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use perennial_gate::{Metric, RewardScale, Suite, SuiteError, SuiteOptions, auto_suite};
use perennial_registry::{Registry, SampleRecord};
use perennial_types::{Domain, Fingerprint, Fingerprinter, Sample};
use tracing::info;

use crate::{
    config::{AutoSuite, Config},
    draw::{Purpose, draw, is_in_vault},
    rewards::Plugins,
    state::StateDir,
    stored,
};

/// Not every sample makes an item (preferences and bare prompts have no one right answer): so many times the items that are
/// wanted are looked at.
const SAMPLES_PER_ITEM: usize = 4;

/// The held-out samples of a domain.
pub(crate) struct Pool {
    pub(crate) domain: Domain,
    /// Those that decide.
    pub(crate) open: Vec<SampleRecord>,
    /// Those that never do.
    pub(crate) vault: Vec<SampleRecord>,
}

/// What suites of held-out samples are made with.
pub(crate) struct Maker<'a> {
    pub(crate) config: &'a Config,
    pub(crate) state: &'a StateDir,
    pub(crate) plugins: Option<&'a Plugins>,
    /// How suites were scored whose metric nobody configured.
    pub(crate) metrics: BTreeMap<String, String>,
    pub(crate) seed: u64,
}

/// The name of the suite of a domain's held-out samples.
pub(crate) fn auto_name(domain: &Domain) -> String {
    format!("auto:{domain}")
}

/// The name of the suite of a domain's vault.
pub(crate) fn vault_name(domain: &Domain) -> String {
    format!("vault:{domain}")
}

/// The pools of all domains, without the samples that ask what was trained on, and how many those are.
pub(crate) fn pools(
    config: &Config,
    registry: &Registry,
    trained: &BTreeSet<Fingerprint>,
) -> anyhow::Result<(Vec<Pool>, usize)> {
    let (mut pools, mut dropped): (BTreeMap<Domain, Pool>, usize) = (BTreeMap::new(), 0);
    for record in registry.held_out_samples(None)? {
        if record.question.is_some_and(|question| trained.contains(&question)) {
            dropped += 1;
            continue;
        }
        let domain = record.domain.clone();
        let pool = pools.entry(domain.clone()).or_insert_with(|| Pool { domain, open: Vec::new(), vault: Vec::new() });
        let question = record.question.unwrap_or(record.id.0);
        let side = if is_in_vault(&question, config.gate.vault_fraction) { &mut pool.vault } else { &mut pool.open };
        side.push(record);
    }
    Ok((pools.into_values().collect(), dropped))
}

impl Maker<'_> {
    /// The options of the suite of a domain's open samples.
    pub(crate) fn options(&self, domain: &Domain) -> anyhow::Result<SuiteOptions> {
        let AutoSuite { items_max, metric, plugin, protected, target, margin, max_new_tokens } =
            self.config.gate.auto_of(domain);
        let name = auto_name(domain);
        Ok(SuiteOptions {
            domain: Some(domain.clone()),
            metric: metric.or_else(|| self.kept_metric(&name)),
            reward: scale(self.plugins, plugin.as_deref())?,
            protected,
            target,
            margin,
            max_new_tokens,
            prompt_as_chat: self.config.ingest.prompt_as_chat,
            items_max,
            ..SuiteOptions::new(name)
        })
    }

    /// Whether a suite's metric is chosen by its references, and so kept from then on.
    pub(crate) fn chooses_metric(&self, domain: &Domain) -> bool {
        self.config.gate.auto_of(domain).metric.is_none()
    }

    fn kept_metric(&self, suite: &str) -> Option<Metric> {
        let kept = self.metrics.get(suite)?;
        serde_json::from_value(serde_json::Value::String(kept.clone())).ok()
    }

    /// The suite of a draw from these samples; `None` where none of them has one right answer.
    pub(crate) fn suite(
        &self,
        options: SuiteOptions,
        records: &[SampleRecord],
        purpose: Purpose,
    ) -> anyhow::Result<Option<Suite>> {
        let most = options.items_max.saturating_mul(SAMPLES_PER_ITEM);
        let drawn: Vec<&SampleRecord> =
            draw(records.iter().collect(), most, purpose, self.seed, |record| record.id.0.as_bytes());
        let mut samples = stored::read_samples(self.state, drawn.iter().copied())?;
        let samples: Vec<Sample> = drawn.iter().filter_map(|record| samples.remove(&record.id)).collect();
        match auto_suite(options, &samples) {
            Ok(suite) => Ok(Some(suite)),
            // That is no reason not to judge the other domains.
            Err(SuiteError::Empty(suite)) => {
                info!(%suite, "no held-out sample has one right answer: no such suite");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// At most so many items of a suite whose items people wrote, drawn.
pub(crate) fn draw_from(suite: &Suite, items_max: usize, purpose: Purpose, seed: u64) -> Suite {
    if suite.items.len() <= items_max {
        return suite.clone();
    }
    let places: Vec<(Fingerprint, usize)> =
        suite.items.iter().enumerate().map(|(place, item)| (suite.item_fingerprint(item), place)).collect();
    let mut drawn: Vec<usize> = draw(places, items_max, purpose, seed, |(name, _)| name.as_bytes())
        .into_iter()
        .map(|(_, place)| place)
        .collect();
    drawn.sort_unstable();
    Suite { items: drawn.into_iter().map(|place| suite.items[place].clone()).collect(), ..suite.clone() }
}

/// What a suite has to know of the plugin that judges it.
pub(crate) fn scale(plugins: Option<&Plugins>, name: Option<&str>) -> anyhow::Result<Option<RewardScale>> {
    let Some(name) = name else { return Ok(None) };
    let plugin = plugins.and_then(|plugins| plugins.named(name));
    let plugin = plugin.with_context(|| format!("no [[reward.plugin]] is called {name:?}"))?;
    let (identity, descriptor) = (plugin.identity(), plugin.descriptor());
    let fingerprint =
        Fingerprinter::new().part(identity.hash.as_bytes()).part(identity.config_hash.as_bytes()).finish();
    Ok(Some(RewardScale { plugin: name.to_owned(), fingerprint, min: descriptor.min, max: descriptor.max }))
}
