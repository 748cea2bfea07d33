use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, bail};
use perennial_gate::{
    CHURN_ASSUMED, Metric, Policy, Suite, items_needed, items_until_safe, smallest_seen, suits, tests_of_harm,
};
use perennial_learn::{adapter::Adapter, compute::current_isa, model::Model, train::ActivationPlan};
use perennial_publish::Surroundings;
use perennial_registry::Registry;
use tokio::runtime::Builder;

use super::{changed, model_tokens, output, readings, session::Session};
use crate::{
    config::{self, Config, RewardPlugin},
    cycle::{self, preflight},
    exports::ModelExporter,
    lock::{DaemonFile, StateLock},
    models, replay,
    rewards::Plugins,
    told::told,
};

/// Below this much room on the disk, checkpoints and segments may soon not be written any more.
const DISK_BYTES_WARN: u64 = 2 << 30;

/// `perennial check`: everything that can be wrong before anything is done, all of it at once.
pub(super) fn check(session: &Session) -> anyhow::Result<()> {
    session.log_quietly()?;
    let config = match &session.loaded().file {
        Some(file) => Ok(file.display().to_string()),
        None => Ok("no file: everything at its default".to_owned()),
    };
    // First: whatever is calculated below is calculated on these.
    let processors = processors(session);
    let plugins = preflight::plugins(session.config(), None);
    let mut readings = Readings::default();
    let checks = [
        ("configuration", config),
        ("processors", processors),
        ("state", state(session)),
        ("disk", disk(session)),
        ("model", model(session, &mut readings)),
        ("champion", champion(session)),
        ("plugins", plugins.map(|plugins| described(plugins.as_ref()))),
        ("suites", suites(session)),
        ("publish", targets(session)),
    ];
    let mut wrong = 0;
    for (name, outcome) in checks {
        match outcome {
            Ok(found) => output::line(format_args!("ok     {name:<13} {found}")),
            Err(problem) => {
                wrong += 1;
                output::line(format_args!("wrong  {name:<13} {}", told(&problem)));
            }
        }
    }
    if let Some(prompts) = readings.prompts {
        output::line(format_args!("ok     {:<13} {prompts}", "prompts"));
    }
    if let Some(ends) = readings.ends {
        output::line(format_args!("ok     {:<13} {ends}", "tokens"));
    }
    if let Some(doubt) = readings.without_row {
        output::line(format_args!("doubt  {:<13} {doubt}", "tokens"));
    }
    for doubt in readings.doubts {
        output::line(format_args!("doubt  {:<13} {doubt}", "template"));
    }
    for line in readings.of_stored {
        output::line(format_args!("reads  {line}"));
    }
    for doubt in doubts(session)? {
        output::line(format_args!("doubt  {:<13} {doubt}", "next cycle"));
    }
    let policy = registry(session)?.map(|registry| changed::policy(session.loaded(), &registry)).transpose()?;
    let older_keys = session.loaded().renamed.iter().cloned().chain(session.config().older_keys());
    for note in older_keys.chain(policy.flatten()) {
        output::line(format_args!("note   {:<13} {note}", "configuration"));
    }
    if wrong > 0 {
        bail!("{wrong} of the checks failed");
    }
    output::line(plan(session));
    Ok(())
}

fn state(session: &Session) -> anyhow::Result<String> {
    let state = session.state();
    let root = state.root().display();
    if let Some(DaemonFile { pid, address, .. }) = DaemonFile::find(state) {
        return Ok(format!("{root}: in use by the daemon, process {pid}, at {address}"));
    }
    StateLock::take(state, "perennial check")?;
    Ok(format!("{root}: may be written"))
}

fn processors(session: &Session) -> anyhow::Result<String> {
    session.limit_threads()?;
    let threads = rayon::current_num_threads();
    match &session.config().resources.cpus[..] {
        [] => Ok(format!("{threads} threads, on all that this process may use")),
        cpus => Ok(format!("{threads} threads, which keep to {cpus:?}")),
    }
}

fn disk(session: &Session) -> anyhow::Result<String> {
    let free = fs4::available_space(session.state().root()).context("free space cannot be told")?;
    let free_gib = free as f64 / f64::from(1 << 30);
    if free < DISK_BYTES_WARN {
        bail!("only {free_gib:.1} GiB are free: make room");
    }
    Ok(format!("{free_gib:.1} GiB are free"))
}

/// How the base model reads samples.
#[derive(Default)]
struct Readings {
    of_stored: Vec<String>,
    doubts: Vec<String>,
    prompts: Option<&'static str>,
    ends: Option<String>,
    without_row: Option<String>,
}

fn model(session: &Session, readings: &mut Readings) -> anyhow::Result<String> {
    let config = &session.config().model;
    let precision = config.precision.resolve();
    let model = models::load(config, precision)?.with_prompt_as_chat(session.config().ingest.prompt_as_chat);
    if let Some(registry) = registry(session)? {
        preflight::base(session.config(), &model, &registry)?;
        readings.of_stored = readings::of_stored(session, &registry, &model, output::has_colour())?;
    }
    readings.doubts = readings::doubts(&model);
    readings.prompts = Some(readings::prompts(&model));
    readings.ends = Some(model_tokens::ends(&model));
    readings.without_row = model_tokens::without_row(&model);
    replay::method(&session.config().replay, &model.config).check(model.config.layers)?;
    let (fingerprint, precision, isa) = (model.fingerprint.short(12), precision.as_str(), current_isa());
    Ok(format!(
        "{}: {}, {} layers, fingerprint {fingerprint}; computed in {precision} with {isa}; {}",
        config.base,
        model.config.architecture,
        model.config.layers,
        memory(session.config(), &model)?,
    ))
}

/// What a training step keeps, and what that costs.
fn memory(config: &config::Config, model: &Model) -> anyhow::Result<String> {
    let train = &config.train;
    if train.device == config::TrainDevice::Cuda {
        return Ok("trained on a GPU, with every layer computed forth twice".to_owned());
    }
    let adapter = Adapter::init(&train.lora_in_training(), model, 0)?;
    let weights = adapter.to_weights(&model.decoder)?;
    let rows = train.micro_batch_tokens;
    let plan = ActivationPlan::new(&model.decoder, &weights, rows, train.memory_bytes_max);
    let gigabytes = plan.bytes as f64 / 1e9;
    let twice = match plan.layers - plan.layers_kept {
        0 => String::new(),
        layers => format!(", for which {layers} of {} layers are computed forth twice", plan.layers),
    };
    let kept = if config.learns_from_rewards() && config.rollout.server.is_none() {
        let tokens = config.grpo().rollout_activation_bytes_max / model.decoder.kept_row_bytes(&weights) as u64;
        format!("; room to keep {tokens} tokens of completions that are drawn")
    } else {
        String::new()
    };
    Ok(format!("a micro-batch of {rows} tokens keeps {gigabytes:.2} GB for its backward pass{twice}{kept}"))
}

/// Whether training can go on from the adapter in service.
fn champion(session: &Session) -> anyhow::Result<String> {
    match registry(session)? {
        Some(registry) => preflight::champion(session.config(), session.state(), &registry),
        None => Ok("the base model: nothing was trained yet".to_owned()),
    }
}

fn doubts(session: &Session) -> anyhow::Result<Vec<String>> {
    match registry(session)? {
        Some(registry) => preflight::doubts(session.config(), &registry),
        None => Ok(preflight::servers(session.config()).into_iter().collect()),
    }
}

/// The registry, where there is one: a check leaves nothing behind.
fn registry(session: &Session) -> anyhow::Result<Option<Registry>> {
    let path = session.state().database();
    if path.is_file() { Ok(Some(Registry::open(&path)?)) } else { Ok(None) }
}

fn described(plugins: Option<&Plugins>) -> String {
    let Some(plugins) = plugins else { return "none: nothing is learned from rewards".to_owned() };
    let described = |(RewardPlugin { name, weight, .. }, plugin): &(RewardPlugin, _)| {
        let perennial_reward::PluginIdentity { plugin, version, hash, .. } = perennial_reward::Plugin::identity(plugin);
        format!("{name} ({plugin} {version}, weight {weight}, hash {})", hash.short(12))
    };
    plugins.iter().map(described).collect::<Vec<_>>().join(", ")
}

fn suites(session: &Session) -> anyhow::Result<String> {
    let config = session.config();
    let policy = cycle::policy(&config.gate, config.cycle.seed);
    let golden = cycle::check_golden(config)?;
    let tests = tests_of_harm(golden.len() + domains(session)?, config.gate.anchor.enabled);
    let described = |suite: Suite| {
        let items = suite.items.len();
        let clusters = suite.clusters().into_iter().max().map_or(0, |last| last + 1);
        let shared = if clusters < items { format!(", {clusters} different questions") } else { String::new() };
        let needed = items_needed(suite.margin, CHURN_ASSUMED, tests, &policy);
        let sees = match needed.filter(|needed| clusters < *needed && suite.metric != Metric::Perplexity) {
            Some(needed) => format!(
                "; shows a loss of {:.3} and more, and {needed} would tell its margin of {}",
                smallest_seen(clusters, CHURN_ASSUMED),
                suite.margin
            ),
            None => String::new(),
        };
        let spares = in_batches(config, &policy, &suite).unwrap_or_default();
        format!("{} ({items} items{shared}{sees}{spares})", suite.name)
    };
    let found: Vec<String> = golden.into_iter().map(described).collect();
    if found.is_empty() {
        return Ok("no golden suites: only held-out samples guard the champion".to_owned());
    }
    Ok(found.join(", "))
}

/// What asking a golden suite in batches spares, where it spares anything.
fn in_batches(config: &Config, policy: &Policy, suite: &Suite) -> Option<String> {
    let batch = config.gate.sequential.batch_items;
    let items = suite.items.len().min(config.gate.golden_items_max(&suite.name));
    let until = items_until_safe(suite.margin, CHURN_ASSUMED, policy)?.next_multiple_of(batch.max(1));
    if until >= items || !suits(suite, batch) {
        return None;
    }
    let would = if config.gate.sequential.enabled { "is" } else { "would with gate.sequential be" };
    Some(format!("; a candidate that lost nothing {would} asked about {until} of {items}"))
}

/// The domains that have held-out samples.
fn domains(session: &Session) -> anyhow::Result<usize> {
    let Some(registry) = registry(session)? else { return Ok(0) };
    let counts = registry.sample_counts()?;
    Ok(counts.iter().filter(|count| count.held_out).map(|count| &count.domain).collect::<BTreeSet<_>>().len())
}

/// Where the champion goes, and whether it could.
fn targets(session: &Session) -> anyhow::Result<String> {
    let (state, runtime) = (session.state(), Builder::new_current_thread().build()?);
    let surroundings = Surroundings {
        adapters: state.adapters(),
        export: state.export(),
        exporter: Arc::new(ModelExporter(session.config().model.clone())),
        runtime: runtime.handle().clone(),
    };
    let mut found = Vec::new();
    for target in session.config().targets() {
        let publisher = target.settings().open(&surroundings);
        let place = publisher.check().with_context(|| format!("the target {}", publisher.name()))?;
        found.push(format!("{} ({place})", publisher.name()));
    }
    Ok(found.join(", "))
}

fn plan(session: &Session) -> String {
    let config = session.config();
    let cycle = &config.cycle;
    format!(
        "\n`perennial run` would watch {}, answer at {}, and start a cycle at {} new samples, or at {} that have \
         waited {} s.",
        session.state().inbox().display(),
        config.http.listen,
        cycle.samples_min,
        cycle.age_samples_min,
        cycle.age_max_seconds,
    )
}
