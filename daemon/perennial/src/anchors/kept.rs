//! What the base model answered, kept in the state directory: it is asked once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use perennial_durable as durable;
use perennial_learn::{
    generate::{self, Finish, GenerateOptions},
    model::Model,
};
use perennial_types::{Content, Fingerprinter, Prompt};
use serde::{Deserialize, Serialize};

use crate::{
    answers::Anchors,
    config::Config,
    ports::{Context, Stop},
    state::StateDir,
    telemetry::AnchorsAnswered,
};

/// Prompts that are answered and kept together: so many are asked again after a crash.
const BATCH: usize = 16;

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    prompt: String,
    /// `None` where there is none that ends by itself: one that is cut off would teach to break off.
    answer: Option<String>,
}

type Answers = BTreeMap<String, Option<String>>;

/// The answers to these prompts, those that are not there yet made now. `None` where the work is to stop; what was made by then is
/// kept.
pub(super) fn ready(
    context: &Context,
    model: &Model,
    prompts: &BTreeSet<String>,
    config: &Config,
    stop: &Stop,
) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let (path, tokens_max) = (path_of(&context.state, model, config), config.replay.anchor.answer_tokens_max as usize);
    let mut answers = read(&path)?;
    let missing: Vec<&String> = prompts.iter().filter(|prompt| !answers.contains_key(*prompt)).collect();
    for batch in missing.chunks(BATCH) {
        let Some(new) = answer(context, model, batch, tokens_max, stop)? else { return Ok(None) };
        answers.extend(new);
        write(&path, &answers)?;
        let done = prompts.iter().filter(|prompt| answers.contains_key(*prompt)).count() as u64;
        context.telemetry.emit(AnchorsAnswered { done, of: prompts.len() as u64, standing: standing_of(&answers) });
    }
    let wanted = answers.into_iter().filter(|(prompt, _)| prompts.contains(prompt));
    Ok(Some(wanted.filter_map(|(prompt, answer)| Some((prompt, answer?))).collect()))
}

/// How many prompts were answered by the base model that was asked last; `None` where none was.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn standing(state: &StateDir) -> anyhow::Result<Option<Anchors>> {
    let entries = match fs::read_dir(state.anchors()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("the anchors cannot be listed"),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    files.sort();
    files.last().map(|(_, path)| Ok(standing_of(&read(path)?))).transpose()
}

fn standing_of(answers: &Answers) -> Anchors {
    let answered = answers.values().flatten().count() as u64;
    Anchors { answered, unanswered: answers.len() as u64 - answered }
}

/// Named by all that answers depend on.
fn path_of(state: &StateDir, model: &Model, config: &Config) -> PathBuf {
    let (precision, as_chat) = (model.decoder.precision().as_str(), config.ingest.prompt_as_chat);
    let settings = format!("{precision} {as_chat} {}", config.replay.anchor.answer_tokens_max);
    let name = Fingerprinter::new().part(model.fingerprint.as_bytes()).part(settings.as_bytes()).finish();
    state.anchors().join(format!("{}.jsonl", name.short(16)))
}

/// Lines that cannot be read are asked again.
fn read(path: &Path) -> anyhow::Result<Answers> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Answers::new()),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    Ok(lines.map(|Line { prompt, answer }| (prompt, answer)).collect())
}

fn write(path: &Path, answers: &Answers) -> anyhow::Result<()> {
    let mut text = String::new();
    for (prompt, answer) in answers {
        text.push_str(&serde_json::to_string(&Line { prompt: prompt.clone(), answer: answer.clone() })?);
        text.push('\n');
    }
    if let Some(folder) = path.parent() {
        durable::create_folder_durably(folder)?;
    }
    Ok(durable::write_durably(path, text.as_bytes())?)
}

fn answer(
    context: &Context,
    model: &Model,
    prompts: &[&String],
    tokens_max: usize,
    stop: &Stop,
) -> anyhow::Result<Option<Answers>> {
    let mut answers: Answers = prompts.iter().map(|prompt| ((*prompt).clone(), None)).collect();
    let room = model.config.positions_max.saturating_sub(tokens_max);
    let encoded = |prompt: &&&String| {
        let asked = Prompt { content: Content::Text((**prompt).clone()), inputs: Default::default() };
        let tokens = model.encode_prompt(&asked).ok()?;
        (1..room).contains(&tokens.len()).then_some(((**prompt).clone(), tokens))
    };
    let (asked, tokens): (Vec<String>, Vec<Vec<u32>>) = prompts.iter().filter_map(|prompt| encoded(&prompt)).unzip();
    let options = GenerateOptions { max_new_tokens: tokens_max, ..GenerateOptions::default() };
    let completions = generate::generate(model, None, &tokens, &options, &mut |_, _| {
        context.telemetry.beat();
        if stop.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if stop.is_set() {
        return Ok(None);
    }
    for (prompt, completion) in asked.into_iter().zip(completions) {
        let ended = completion.finish != Finish::Length && !completion.text.trim().is_empty();
        answers.insert(prompt, ended.then_some(completion.text));
    }
    Ok(Some(answers))
}
