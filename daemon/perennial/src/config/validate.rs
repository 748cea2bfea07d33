use std::collections::BTreeSet;

use perennial_gate::Metric;
use perennial_learn::{
    generate::GenerateError,
    train::{TrainError, grpo::SamplingCorrection},
};

use super::{
    Config, Embedding, Objective, Ratio, Rollout, Train,
    ceilings::{self, SECONDS_MAX},
    penalty,
    problems::{Problem, Problems},
    publish, time_scales, validation,
};

/// Everything in a configuration that makes no sense by itself. What depends on files is left to `perennial check`.
pub(super) fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Problems(Vec::new());
    ingest(config, &mut found);
    replay(config, &mut found);
    cycle(config, &mut found);
    training(config, &mut found);
    grpo(config, &mut found);
    reward(config, &mut found);
    gate(config, &mut found);
    found.within("drift.interval_seconds", config.drift.interval_seconds as f64, 1.0..=SECONDS_MAX);
    found.at_least("promotion.hold_seconds_max", config.promotion.hold_seconds_max as f64, 1.0);
    found.within("drift.scored_rows_max", config.drift.scored_rows_max as f64, 0.0..=10_000.0);
    if let Err(error) = super::log_filter(&config.log.level) {
        found.add("log.level", &error.to_string());
    }
    found.0.extend(publish::problems(config));
    http(config, &mut found);
    found.at_least("shutdown.stop_seconds", config.shutdown.stop_seconds as f64, 1.0);
    let mut found = found.0;
    let beyond: Vec<Problem> =
        ceilings::problems(config).into_iter().filter(|new| found.iter().all(|old| old.key != new.key)).collect();
    found.extend(beyond);
    found
}

fn http(config: &Config, found: &mut Problems) {
    let http = &config.http;
    if http.listen.is_remote() && http.tokens_file.is_none() {
        found.add(
            "http.listen",
            "can be reached from other machines, which takes `http.tokens_file`: set it, or listen on a loopback address such \
             as 127.0.0.1:7411 or on a Unix socket",
        );
    }
    found.at_least("http.body_bytes_max", http.body_bytes_max as f64, 1024.0);
    found.within("http.header_seconds", http.header_seconds as f64, 1.0..=3600.0);
    found.within("http.body_seconds", http.body_seconds as f64, 1.0..=86_400.0);
    found.within("http.connections_max", http.connections_max as f64, 1.0..=65_536.0);
}

fn ingest(config: &Config, found: &mut Problems) {
    let ingest = &config.ingest;
    found.at_least("ingest.rescan_seconds", ingest.rescan_seconds as f64, 1.0);
    found.within("ingest.settle_seconds", ingest.settle_seconds, 0.0..=3600.0);
    found.within("ingest.attempts_max", f64::from(ingest.attempts_max), 1.0..=1000.0);
    found.at_least("ingest.row_bytes_max", ingest.row_bytes_max as f64, 1024.0);
    found.at_least("ingest.turns_max", ingest.turns_max as f64, 1.0);
    found.at_least("ingest.compression_ratio_max", ingest.compression_ratio_max as f64, 1.0);
    found.within("ingest.desks", ingest.desks as f64, 1.0..=64.0);
    for (section, bytes_max, rows_max, seconds_max) in [
        ("file", ingest.file.bytes_max, ingest.file.rows_max, ingest.file.seconds_max),
        ("request", ingest.request.bytes_max, ingest.request.rows_max, ingest.request.seconds_max),
    ] {
        found.at_least(&format!("ingest.{section}.bytes_max"), bytes_max as f64, 1024.0);
        found.at_least(&format!("ingest.{section}.rows_max"), rows_max as f64, 1.0);
        found.at_least(&format!("ingest.{section}.seconds_max"), seconds_max as f64, 1.0);
    }
    found.within("ingest.held_out_fraction", ingest.held_out_fraction, 0.0..=0.5);
}

fn replay(config: &Config, found: &mut Problems) {
    let replay = &config.replay;
    if let Ratio::Fixed(ratio) = replay.ratio {
        found.within("replay.ratio", ratio, 0.0..=0.95);
    }
    found.within("replay.auto_ratio_min", replay.auto_ratio_min, 0.0..=0.95);
    found.within("replay.auto_ratio_max", replay.auto_ratio_max, replay.auto_ratio_min..=0.95);
    found.within("replay.repeats_max", replay.repeats_max as f64, 1.0..=100.0);
    found.within("replay.fallen_ratio", replay.fallen_ratio, 0.0..=1.0);
    found.within("replay.base_answers.ratio", replay.base_answers.ratio, 0.0..=0.5);
    let most = match replay.ratio {
        Ratio::Fixed(ratio) => ratio,
        Ratio::Auto => replay.auto_ratio_max,
    };
    if most <= 0.95 && most + replay.base_answers.ratio > 0.95 {
        let problem = "leaves too little to what is new: with `replay.ratio` (or `replay.auto_ratio_max`) it must be 0.95 at most";
        found.add("replay.base_answers.ratio", problem);
    }
    found.within("replay.base_answers.answer_tokens_max", replay.base_answers.answer_tokens_max as f64, 1.0..=4096.0);
    found.within("replay.base_answers.prompts_max", replay.base_answers.prompts_max as f64, 1.0..=100_000.0);
    found.at_least("replay.capacity", replay.capacity as f64, 1.0);
    match (replay.embedding, replay.layer) {
        (Embedding::Hidden, None) => found.add("replay.layer", "is missing: `replay.embedding = \"hidden\"` needs it"),
        (Embedding::Sif, Some(_)) => found.add("replay.layer", "only goes with `replay.embedding = \"hidden\"`"),
        _ => {}
    }
}

fn cycle(config: &Config, found: &mut Problems) {
    let cycle = &config.cycle;
    found.at_least("cycle.samples_min", cycle.samples_min as f64, 1.0);
    found.at_least("cycle.age_max_seconds", cycle.age_max_seconds as f64, 1.0);
    found.within("cycle.age_samples_min", cycle.age_samples_min as f64, 1.0..=cycle.samples_min.max(1) as f64);
    found.at_least("cycle.samples_max", cycle.samples_max as f64, cycle.samples_min as f64);
    found.at_least("cycle.keep", cycle.keep as f64, 1.0);
    found.within("cycle.twin_similarity", cycle.twin_similarity, 0.0..=1.0);
    found.within("cycle.attempts_max", f64::from(cycle.attempts_max), 1.0..=1000.0);
    found.within("cycle.requeue_max", f64::from(cycle.requeue_max), 0.0..=100.0);
    if i64::try_from(cycle.seed).is_err() {
        found.add("cycle.seed", "must be below 2^63");
    }
}

fn training(config: &Config, found: &mut Problems) {
    let train = &config.train;
    stages(config, found);
    found.within("train.r", train.r as f64, 1.0..=1024.0);
    found.above("train.alpha", train.alpha, 0.0);
    // What training would refuse is asked of training itself.
    if let Err(TrainError::Config { key, rule }) = train.learner(config.cycle.seed).check() {
        found.add(&format!("train.{}", Train::key(key)), &format!("makes no sense: it {rule}"));
    }
    for (key, problem) in
        [validation::problems(train), time_scales::problems(train), penalty::problems(config)].concat()
    {
        found.add(&key, &problem);
    }
    found.at_least("train.max_length", train.max_length as f64, 8.0);
    found.at_least("train.micro_batch_tokens", train.micro_batch_tokens as f64, train.max_length as f64);
    if !train.device.is_built() {
        found.add(
            "train.device",
            "is \"cuda\", for which this program was not built: add `--features perennial/cuda`, or write \"cpu\"",
        );
    }
}

/// Each objective once, in the order of the learner's list, with keys that make sense.
fn stages(config: &Config, found: &mut Problems) {
    let stages = config.stages();
    let older = config.train.stage.is_empty();
    let places: Vec<_> = stages.iter().map(|stage| stage.objective.place()).collect();
    if places.is_empty() || !places.is_sorted_by(|one, next| one < next) {
        let known: Vec<&str> = Objective::all().map(Objective::as_str).collect();
        let key = if older { "train.objectives" } else { "train.stage[0].objective" };
        found.add(key, &format!("must be at least one of {}, each once and in this order", known.join(", ")));
    }
    for key in config.overlooked() {
        found.add(key, "is not looked at where there is [[train.stage]]: write it there");
    }
    for (at, stage) in config.train.stage.iter().enumerate() {
        if let Err(TrainError::Config { key, rule }) = stage.objective.kind().check(&stage.keys) {
            found.add(&format!("train.stage[{at}].{key}"), &format!("makes no sense: it {rule}"));
        }
    }
}

fn grpo(config: &Config, found: &mut Problems) {
    if let Err(TrainError::Config { key, rule }) = config.grpo.check() {
        found.add(&format!("grpo.{key}"), &format!("makes no sense: it {rule}"));
    }
    let (rollout, grpo) = (&config.rollout, config.grpo());
    if let Err(GenerateError::Option { option, problem }) = rollout.options(&grpo).check() {
        let key = Rollout::key(option);
        if found.0.iter().all(|problem| problem.key != key) {
            found.add(&key, problem);
        }
    }
    if let Some(server) = &rollout.server {
        found.within("rollout.server.timeout_seconds", server.timeout_seconds as f64, 1.0..=SECONDS_MAX);
        if !server.url.starts_with("http://") && !server.url.starts_with("https://") {
            found.add("rollout.server.url", "must begin with http:// or https://");
        }
        if config.learns_from_rewards() && config.train.lora().kind.not_served_by().contains(&"vLLM") {
            found.add("train.use_dora", "does not go with [rollout.server]: vLLM does not load such adapters");
        }
    } else if grpo.sampling_correction != SamplingCorrection::None {
        found
            .add("grpo.sampling_correction", "only goes with [rollout.server]: what is drawn here needs no correction");
    }
    let optimised = config.reward.plugin.iter().any(|plugin| plugin.weight != 0.0);
    if config.learns_from_rewards() && !optimised {
        let older = config.train.stage.is_empty();
        let at = config.stages().iter().position(|stage| stage.grpo().is_some()).unwrap_or_default();
        let key = if older { "train.objectives".to_owned() } else { format!("train.stage[{at}].objective") };
        found.add(
            &key,
            "has \"grpo\", but there is nothing to learn from: add a [[reward.plugin]] whose weight is not 0",
        );
    }
}

fn reward(config: &Config, found: &mut Problems) {
    let reward = &config.reward;
    found.within("reward.max_fault_ratio", reward.max_fault_ratio, 0.0..=1.0);
    found.at_least("reward.threads", reward.threads as f64, 1.0);
    found.above("reward.deadline_seconds", reward.deadline_seconds, 0.0);
    found.above("reward.load_seconds_max", reward.load_seconds_max, 0.0);
    let limits = [
        ("fuel_per_sample", reward.fuel_per_sample as f64, 1.0),
        ("memory_bytes_max", reward.memory_bytes_max as f64, 65_536.0),
        ("table_elements_max", reward.table_elements_max as f64, 1.0),
        ("stack_bytes_max", reward.stack_bytes_max as f64, 65_536.0),
        ("transfer_bytes_max", reward.transfer_bytes_max as f64, 65_536.0),
        ("component_bytes_max", reward.component_bytes_max as f64, 1.0),
        ("config_bytes_max", reward.config_bytes_max as f64, 2.0),
        ("load_memory_bytes_max", reward.load_memory_bytes_max as f64, 67_108_864.0),
    ];
    for (name, value, min) in limits {
        found.at_least(&format!("reward.{name}"), value, min);
    }
    let mut names = BTreeSet::new();
    for (at, plugin) in reward.plugin.iter().enumerate() {
        let key = |name: &str| format!("reward.plugin[{at}].{name}");
        if perennial_types::Domain::new(&plugin.name).is_err() {
            found.add(&key("name"), "must be letters, digits, '.', '_' or '-'");
        }
        if !names.insert(&plugin.name) {
            found.add(&key("name"), &format!("is taken: two plugins are called {:?}", plugin.name));
        }
        found.above(&key("deadline_seconds"), plugin.deadline_seconds.unwrap_or(1.0), 0.0);
        if !plugin.weight.is_finite() {
            found.add(&key("weight"), "must be a finite number");
        }
    }
}

/// `metric = "reward"` and `plugin = NAME` go together, and NAME is a configured plugin.
fn judged_by(config: &Config, key: &str, metric: Option<Metric>, plugin: Option<&String>, found: &mut Problems) {
    match (metric == Some(Metric::Reward), plugin) {
        (true, None) => found.add(key, "is missing: `metric = \"reward\"` needs the name of a [[reward.plugin]]"),
        (false, Some(_)) => found.add(key, "only goes with `metric = \"reward\"`"),
        (true, Some(name)) if !config.reward.plugin.iter().any(|plugin| plugin.name == *name) => {
            found.add(key, &format!("is {name:?}, but no [[reward.plugin]] is called so"));
        }
        _ => {}
    }
}

fn gate(config: &Config, found: &mut Problems) {
    let gate = &config.gate;
    found.above("gate.hacking.kl_max", gate.hacking.kl_max, 0.0);
    found.at_least("gate.hacking.length_ratio_max", gate.hacking.length_ratio_max, 1.0);
    judged_by(config, "gate.auto.plugin", gate.auto.metric, gate.auto.plugin.as_ref(), found);
    found.within("gate.confidence", gate.confidence, 0.5..=0.9999);
    found.within("gate.false_alarm_max", gate.false_alarm_max, 0.0001..=0.5);
    found.within("gate.chance_gain_max", gate.chance_gain_max, 0.0001..=0.5);
    found.at_least("gate.margin", gate.margin, 0.0);
    found.within("gate.margin_relative", gate.margin_relative, 0.0..=1.0);
    found.at_least("gate.anchor.margin", gate.anchor.margin, 0.0);
    found.at_least("gate.anchor.items_max", gate.anchor.items_max as f64, 1.0);
    found.within("gate.vault_fraction", gate.vault_fraction, 0.0..=0.5);
    found.at_least("gate.vault_cycles", gate.vault_cycles as f64, 1.0);
    found.within("gate.unjudged_ratio_max", gate.unjudged_ratio_max, 0.0..=1.0);
    found.within("gate.max_fault_ratio", gate.max_fault_ratio, 0.0..=1.0);
    found.within("gate.resamples", gate.resamples as f64, 100.0..=1_000_000.0);
    found.at_least("gate.sequential.batch_items", gate.sequential.batch_items as f64, 1.0);
    found.at_least("gate.auto.items_max", gate.auto.items_max as f64, 1.0);
    found.at_least("gate.auto.max_new_tokens", gate.auto.max_new_tokens as f64, 1.0);
    for (domain, auto) in &gate.auto.domain {
        let key = |name: &str| format!("gate.auto.domain.{domain}.{name}");
        found.at_least(&key("items_max"), auto.items_max.map_or(1.0, |items| items as f64), 1.0);
        found.at_least(&key("max_new_tokens"), auto.max_new_tokens.map_or(1.0, |tokens| tokens as f64), 1.0);
        found.at_least(&key("margin"), auto.margin.unwrap_or(0.0), 0.0);
        judged_by(config, &key("plugin"), auto.metric, auto.plugin.as_ref(), found);
    }
    let mut names = BTreeSet::new();
    for (at, suite) in gate.suite.iter().enumerate() {
        let key = |name: &str| format!("gate.suite[{at}].{name}");
        if perennial_types::Domain::new(&suite.name).is_err() {
            found.add(&key("name"), "must be letters, digits, '.', '_' or '-'");
        }
        if !names.insert(&suite.name) {
            found.add(&key("name"), &format!("is taken: two suites are called {:?}", suite.name));
        }
        found.at_least(&key("margin"), suite.margin.unwrap_or(0.0), 0.0);
        found.at_least(&key("max_new_tokens"), suite.max_new_tokens as f64, 1.0);
        found.at_least(&key("items_max"), suite.items_max.map_or(1.0, |items| items as f64), 1.0);
        judged_by(config, &key("plugin"), suite.metric, suite.plugin.as_ref(), found);
    }
}
