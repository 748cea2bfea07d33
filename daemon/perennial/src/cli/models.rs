use std::{cell::RefCell, path::PathBuf};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use perennial_learn::{
    compute::Precision,
    model::{Architecture, Model as BaseModel, ModelConfig, ModelSource},
};

use super::{
    output,
    session::Session,
    table::{Table, or_nothing},
};
use crate::{
    config,
    models::{self, KNOWN, Watch},
};

/// `perennial model`
#[derive(Debug, clap::Subcommand)]
pub(super) enum Model {
    /// Bring a model onto this machine, or give a model on it a name
    Pull {
        /// A known model's name, a Hugging Face folder or a GGUF file
        model: String,
    },
    /// List the models on this machine, and those that can be pulled
    List,
    /// Show what a model is
    Show {
        /// A pulled model's name or a path [default: the configured model]
        model: Option<String>,
    },
    /// Write a model as a Hugging Face folder, so that transformers and PEFT can load a base that came as GGUF
    Export {
        /// A pulled model's name or a path
        model: String,
        /// The folder
        to: PathBuf,
    },
}

impl Model {
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        session.log_quietly()?;
        let config = &session.config().model;
        match self {
            Self::Pull { model } => pull(config, &model),
            Self::List => list(config),
            Self::Show { model } => show(&named(config, model)),
            Self::Export { model, to } => {
                let path = models::locate(&named(config, Some(model)))?;
                BaseModel::load(&path, Precision::F32)?.export_hf(&to)?;
                output::line(to.display());
                Ok(())
            }
        }
    }
}

/// The configuration with another base model. A path that has no slash in it is still found before a name.
pub(super) fn named(config: &config::Model, model: Option<String>) -> config::Model {
    let Some(model) = model else { return config.clone() };
    let base = if PathBuf::from(&model).exists() && !model.contains('/') { format!("./{model}") } else { model };
    config::Model { base, ..config.clone() }
}

fn pull(config: &config::Model, model: &str) -> anyhow::Result<()> {
    let cache = models::cache(config)?;
    if let Some(known) = KNOWN.iter().find(|known| known.name == model) {
        let place = download(|watch| models::pull(known, &cache, watch))?;
        output::line(place.display());
        return Ok(());
    }
    let path = PathBuf::from(model);
    if !path.exists() {
        let known: Vec<&str> = KNOWN.iter().map(|known| known.name).collect();
        bail!("{model:?} is neither a known model ({}) nor a folder or file on this machine", known.join(", "));
    }
    let name = models::link(&path, &cache)?;
    output::note(format_args!("{name} is {}: use it with model.base = {name:?}", path.display()));
    output::line(cache.join(name).display());
    Ok(())
}

/// Shows a bar for each file while it comes.
fn download<T>(fetch: impl FnOnce(&Watch<'_>) -> T) -> T {
    let template = "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let current: RefCell<Option<(String, ProgressBar)>> = RefCell::new(None);
    let on_bytes = |file: &str, have: u64, total: u64| {
        let mut current = current.borrow_mut();
        if current.as_ref().is_none_or(|(name, _)| name != file) {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(style.clone());
            bar.set_prefix(file.to_owned());
            // What a former pull brought is no speed of this one.
            bar.set_position(have);
            bar.reset_eta();
            *current = Some((file.to_owned(), bar));
        }
        if let Some((_, bar)) = &*current {
            bar.set_position(have);
            if have == total {
                bar.finish();
            }
        }
    };
    fetch(&Watch { on_bytes: &on_bytes, on_note: &|note| output::note(note) })
}

fn list(config: &config::Model) -> anyhow::Result<()> {
    let cache = models::cache(config)?;
    let there = models::list(&cache).with_context(|| format!("{} cannot be read", cache.display()))?;
    let mut table = Table::new(["MODEL", "FORM", "WHERE"]);
    for (name, path) in &there {
        let form = match ModelSource::find(path) {
            Ok(ModelSource::HfFolder(_)) => "safetensors",
            Ok(ModelSource::Gguf(_)) => "gguf",
            Err(_) => "broken",
        };
        table.row([name.clone(), form.to_owned(), path.display().to_string()]);
    }
    for known in KNOWN.iter().filter(|known| there.iter().all(|(name, _)| name != known.name)) {
        table.row([known.name.to_owned(), "not here".to_owned(), format!("perennial model pull {}", known.name)]);
    }
    output::line(table);
    Ok(())
}

fn show(config: &config::Model) -> anyhow::Result<()> {
    let path = models::locate(config)?;
    let model = models::load(config, config.precision.resolve())?;
    let shape = &model.config;
    let lines = [
        ("path", path.display().to_string()),
        ("architecture", shape.architecture.to_string()),
        ("parameters", parameters(shape).to_string()),
        ("layers", shape.layers.to_string()),
        ("hidden size", shape.hidden_size.to_string()),
        ("feed-forward", shape.intermediate_size.to_string()),
        ("heads", format!("{} of {}, {} for keys and values", shape.heads, shape.head_dim, shape.kv_heads)),
        ("context", format!("{} tokens", shape.positions_max)),
        ("vocabulary", format!("{} tokens", shape.vocab_size)),
        ("head", if shape.tied_head { "tied to the embeddings" } else { "its own" }.to_owned()),
        ("ends with", or_nothing(model.tokenizer.special().eos.as_deref())),
        ("template", if model.template.source().is_some() { "chat" } else { "none" }.to_owned()),
        ("fingerprint", model.fingerprint.to_string()),
    ];
    for (name, value) in lines {
        output::line(format_args!("{name:<13} {value}"));
    }
    Ok(())
}

/// How many numbers the weights are.
fn parameters(shape: &ModelConfig) -> usize {
    let ModelConfig { vocab_size, hidden_size, intermediate_size, layers, head_dim, .. } = *shape;
    let (q, kv) = (shape.q_width(), shape.kv_width());
    let tables = vocab_size * hidden_size * if shape.tied_head { 1 } else { 2 };
    let attention = hidden_size * (2 * q + 2 * kv);
    let biases = if shape.architecture == Architecture::Qwen2 { q + 2 * kv } else { 0 };
    let norms = 2 * hidden_size + if shape.qk_norm { 2 * head_dim } else { 0 };
    tables + layers * (attention + biases + 3 * hidden_size * intermediate_size + norms) + hidden_size
}
