//! What the next cycle would fail by, found before it is begun: asked by `perennial check`, at start, at a reload and whenever
//! a cycle begins, each time of the code that would refuse it later.
//!
//! What makes no sense by itself is refused where the configuration is read (`config/validate.rs`); this is about what
//! depends on files, on the base model and on the champion.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use perennial_gate::{CHURN_ASSUMED, Metric, Policy, items_needed, smallest_seen, tests_of_harm};
use perennial_learn::{
    adapter::{Adapter, check_rebase},
    model::{Model, ModelConfig},
    train::check_shape,
};
use perennial_registry::{Registry, SampleCount};
use perennial_types::{AdapterId, Domain};

use super::{check_golden, policy};
use crate::{
    base_answers,
    config::{AutoSuite, Config, Start},
    failure::{Failure, Final},
    models, pin,
    ports::Context,
    replay,
    rewards::{Plugins, Sandbox},
    state::StateDir,
};

/// The suites that are too small which are named; of more, their number is told.
const SMALL_SUITES_NAMED_MAX: usize = 5;

/// All of it that can be told without the base model's weights.
///
/// # Errors
/// The first thing that the next cycle would fail by, with the keys to change.
pub(crate) fn check(config: &Config, context: &Context) -> anyhow::Result<()> {
    champion(config, &context.state, &context.registry)?;
    anchor(config, &context.state, &context.registry)?;
    layer(config)?;
    if base_answers::fraction(config) > 0.0 {
        base_answers::prompts(&config.replay.base_answers)?;
    }
    plugins(config, Some(&context.state.plugin_cache()))?;
    check_golden(config)?;
    Ok(())
}

/// That the champion's adapter can be trained on as configured. Returns what is to be trained on.
///
/// # Errors
/// Where its shape is another one, with the keys.
pub(crate) fn champion(config: &Config, state: &StateDir, registry: &Registry) -> anyhow::Result<String> {
    let Some(champion) = registry.champion()? else { return Ok("the base model: no adapter is in service".to_owned()) };
    if config.train.start == Start::Fresh {
        return Ok(format!("{champion}; candidates start afresh"));
    }
    let shape = Adapter::shape_of(&state.adapter(&champion))?;
    let lora = config.train.lora();
    if config.train.start == Start::Rebase && !shape.differences(&lora).is_empty() {
        check_rebase(&shape, &lora).map_err(|error| not_trained_on(&champion, error.into()))?;
        return Ok(format!("{champion}, re-based from rank {} to {}", shape.r, lora.r));
    }
    check_shape(&shape, &lora).map_err(|error| not_trained_on(&champion, error.into()))?;
    Ok(format!("{champion}, rank {}", shape.r))
}

fn not_trained_on(champion: &AdapterId, error: anyhow::Error) -> anyhow::Error {
    let Failure { reason, remedy, .. } = Failure::of(&error);
    Final::new(format!("the champion {champion} cannot be trained on: {reason}; {remedy}"), remedy).into()
}

/// That the anchor can be asked.
///
/// # Errors
/// Where its files are gone.
fn anchor(config: &Config, state: &StateDir, registry: &Registry) -> anyhow::Result<()> {
    let anchor = if config.gate.anchor.enabled { pin::anchor(registry)?.adapter } else { None };
    let Some(anchor) = anchor.filter(|anchor| !state.adapter(anchor).exists()) else { return Ok(()) };
    let remedy = "pin another (`perennial pin base`), or set gate.anchor.enabled = false";
    Err(Final::new(format!("the files of the anchor {anchor} are gone: {remedy}"), remedy).into())
}

/// The servers of adapters that do not load what is trained as configured.
pub(crate) fn servers(config: &Config) -> Option<String> {
    let kind = config.train.lora().kind;
    let servers = kind.not_served_by();
    (!servers.is_empty()).then(|| {
        format!("adapters of the kind {} are not loaded by {}, only by PEFT", kind.name(), servers.join(" and "))
    })
}

/// That champion and anchor were trained on this base model: an adapter fits no other.
///
/// # Errors
/// Where it was trained on another one.
pub(crate) fn base(config: &Config, model: &Model, registry: &Registry) -> anyhow::Result<()> {
    let out_of_service = "set model.base back, or take the champion out of service: `perennial rollback`, until \
                          `perennial status` shows the base model";
    of_base("champion", registry.champion()?, out_of_service, model, registry)?;
    let anchor = if config.gate.anchor.enabled { pin::anchor(registry)?.adapter } else { None };
    let another = "set model.base back, pin another (`perennial pin base`), or set gate.anchor.enabled = false";
    of_base("anchor", anchor, another, model, registry)
}

fn of_base(
    what: &str,
    adapter: Option<AdapterId>,
    remedy: &str,
    model: &Model,
    registry: &Registry,
) -> anyhow::Result<()> {
    let Some(adapter) = adapter else { return Ok(()) };
    let Some(known) = registry.adapter(&adapter)? else { return Ok(()) };
    if known.lineage.base == model.fingerprint {
        return Ok(());
    }
    let (own, found) = (known.lineage.base.short(12), model.fingerprint.short(12));
    let reason = format!(
        "the {what} {adapter} was trained on a base model with fingerprint {own}, and model.base has {found}: {remedy}"
    );
    Err(Final::new(reason, remedy).into())
}

/// That the base model has the layer that samples are embedded by.
fn layer(config: &Config) -> anyhow::Result<()> {
    let model = ModelConfig::read(&models::locate(&config.model)?)?;
    Ok(replay::method(&config.replay, &model).check(model.layers)?)
}

/// The configured reward plugins, each loaded and checked; `None` where there are none.
///
/// # Errors
/// Where one is refused.
pub(crate) fn plugins(config: &Config, cache: Option<&Path>) -> anyhow::Result<Option<Plugins>> {
    let reward = &config.reward;
    if reward.plugin.is_empty() {
        return Ok(None);
    }
    Ok(Some(Plugins::load_configured(Sandbox::open(reward, cache)?, reward)?))
}

/// What does not keep a cycle from running and is likely not meant so.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn doubts(config: &Config, registry: &Registry) -> anyhow::Result<Vec<String>> {
    let counts = registry.sample_counts()?;
    let found = servers(config).into_iter().chain(small_suites(config, &counts));
    Ok(found.chain(unscored(config, registry, &counts)?).collect())
}

/// Samples and domains that learning from rewards passes by.
///
/// # Errors
/// Where the registry fails.
pub(crate) fn unscored(config: &Config, registry: &Registry, counts: &[SampleCount]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let there: BTreeSet<Domain> =
        counts.iter().filter(|count| !count.held_out).map(|count| count.domain.clone()).collect();
    if !config.learns_from_rewards() || there.is_empty() {
        return Ok(found);
    }
    let listed = |domains: &BTreeSet<Domain>| domains.iter().map(Domain::as_str).collect::<Vec<_>>().join(", ");
    for plugin in &config.reward.plugin {
        let domains: BTreeSet<Domain> = plugin.domains.iter().cloned().collect();
        if !domains.is_empty() && domains.is_disjoint(&there) {
            found.push(format!(
                "the reward plugin {} scores the domains {} alone, and no sample is of these: there are {}",
                plugin.name,
                listed(&domains),
                listed(&there)
            ));
        }
    }
    let waiting = registry.fresh(&config.trained_kinds(), None)?.count;
    let trained = registry.fresh(&config.trained_kinds(), config.trained_domains().as_ref())?.count;
    if waiting > trained {
        found.push(format!(
            "{} samples wait that train.objectives = [\"grpo\"] cannot learn from: no reward plugin scores their domains",
            waiting - trained
        ));
    }
    Ok(found)
}

/// The domains whose held-out samples are too few to tell a loss of the margin from chance. Golden suites are read by
/// `perennial check`.
fn small_suites(config: &Config, counts: &[SampleCount]) -> Vec<String> {
    let mut held_out: BTreeMap<&Domain, u64> = BTreeMap::new();
    for count in counts.iter().filter(|count| count.held_out) {
        *held_out.entry(&count.domain).or_default() += count.count;
    }
    let policy = policy(&config.gate, config.cycle.seed);
    let tests = tests_of_harm(held_out.len() + config.gate.suite.len(), config.gate.anchor.enabled);
    let mut found: Vec<String> =
        held_out.into_iter().filter_map(|counted| small_suite(config, &policy, counted, tests)).collect();
    let more = found.len().saturating_sub(SMALL_SUITES_NAMED_MAX);
    if more > 0 {
        found.truncate(SMALL_SUITES_NAMED_MAX);
        found.push(format!("{more} more suites of held-out samples are as small"));
    }
    found
}

fn small_suite(config: &Config, policy: &Policy, (domain, items): (&Domain, u64), tests: usize) -> Option<String> {
    let AutoSuite { metric, margin, items_max, .. } = config.gate.auto_of(domain);
    let items = items.min(items_max as u64) as usize;
    let needed = items_needed(margin, CHURN_ASSUMED, tests, policy)?;
    // Where the references choose the metric it may be one whose unrest nobody knows before it was asked.
    (items < needed && metric != Some(Metric::Perplexity)).then(|| {
        format!(
            "auto:{domain} is small: {items} held-out samples show a loss of {:.3} and more, and it takes {needed} to tell its \
             margin of {margin} from chance (where {} % of the answers change); smaller losses are let pass: wait for more, \
             raise ingest.held_out_fraction, ingest.held_out_min or gate.auto.items_max, or add a golden suite",
            smallest_seen(items, CHURN_ASSUMED),
            100.0 * CHURN_ASSUMED,
        )
    })
}
