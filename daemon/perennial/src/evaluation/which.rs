//! Which suites somebody means.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use perennial_gate::{Suite, SuiteOptions, load_golden};

use super::Request;
use crate::{
    config::Config,
    cycle::{
        golden_suite,
        held_out::{Maker, Pool, auto_name, draw_from, pools, vault_name},
    },
    draw::Purpose,
    ports::Context,
    rewards::Plugins,
};

/// How many names of suites a refusal lists.
const NAMES_SHOWN_MAX: usize = 20;

/// A suite that could be asked.
enum Known<'a> {
    Golden(&'a crate::config::Suite),
    Open(&'a Pool),
    Vault(&'a Pool),
}

/// Suites by their words: the name of a golden suite, `auto:DOMAIN`, `vault:DOMAIN`, or a file. All golden suites and all
/// auto suites where there are no words.
pub(super) fn suites(
    context: &Context,
    config: &Config,
    plugins: Option<&Plugins>,
    request: &Request,
) -> anyhow::Result<Vec<Suite>> {
    let Context { registry, state, .. } = context;
    let (pools, _) = pools(config, registry, &registry.held_out_questions_trained_on()?)?;
    let maker = Maker { config, state, plugins, metrics: registry.suite_metrics()?, seed: config.cycle.seed };
    let golden = config.gate.suite.iter().map(|suite| (suite.name.clone(), Known::Golden(suite)));
    let open = pools.iter().map(|pool| (auto_name(&pool.domain), Known::Open(pool)));
    let usual: Vec<(String, Known<'_>)> = golden.chain(open).collect();
    let vaults = pools.iter().map(|pool| (vault_name(&pool.domain), Known::Vault(pool)));
    let made = |known: &Known<'_>| made(&maker, known, request.items_max);
    if request.suites.is_empty() {
        let found = usual.iter().map(|(_, known)| made(known)).collect::<anyhow::Result<Vec<_>>>()?;
        let found: Vec<Suite> = found.into_iter().flatten().collect();
        if found.is_empty() {
            bail!("there is no suite: name a file with --suite, configure [[gate.suite]], or ingest some samples");
        }
        return Ok(found);
    }
    let all: Vec<(String, Known<'_>)> = usual.into_iter().chain(vaults).collect();
    let mut found = Vec::new();
    for word in &request.suites {
        match all.iter().find(|(name, _)| name == word) {
            Some((_, known)) => {
                found.push(made(known)?.with_context(|| format!("no sample of {word} has one right answer"))?);
            }
            None if Path::new(word).is_file() => {
                let options = SuiteOptions {
                    prompt_as_chat: config.ingest.prompt_as_chat,
                    items_max: usize::MAX,
                    ..SuiteOptions::new(word)
                };
                let suite = load_golden(&PathBuf::from(word), options)?;
                found.push(drawn(&suite, request.items_max.unwrap_or(usize::MAX), config));
            }
            None => {
                let names: Vec<&str> = all.iter().take(NAMES_SHOWN_MAX).map(|(name, _)| name.as_str()).collect();
                bail!("{word:?} is neither a file nor a suite; suites are {}", names.join(", "));
            }
        }
    }
    Ok(found)
}

fn made(maker: &Maker<'_>, known: &Known<'_>, items_max: Option<usize>) -> anyhow::Result<Option<Suite>> {
    let config = maker.config;
    match known {
        Known::Golden(golden) => {
            let suite = golden_suite(config, golden, maker.plugins)?;
            let most = items_max.unwrap_or_else(|| config.gate.golden_items_max(&golden.name));
            Ok(Some(drawn(&suite, most, config)))
        }
        Known::Open(pool) | Known::Vault(pool) => {
            let mut options = maker.options(&pool.domain)?;
            options.items_max = items_max.unwrap_or(options.items_max);
            let mut records = &pool.open;
            if matches!(known, Known::Vault(_)) {
                options.name = vault_name(&pool.domain);
                records = &pool.vault;
            }
            maker.suite(options, records, Purpose::Look)
        }
    }
}

fn drawn(suite: &Suite, items_max: usize, config: &Config) -> Suite {
    draw_from(suite, items_max, Purpose::Look, config.cycle.seed)
}
