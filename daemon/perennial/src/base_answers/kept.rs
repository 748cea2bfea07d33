//! What the base model answered, kept in the state directory: it is asked once.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use perennial_durable::{self as durable, failpoint};
use perennial_learn::{
    generate::{self, Finish, GenerateOptions},
    model::Model,
};
use perennial_types::{Content, Fingerprinter, Prompt};
use serde::{Deserialize, Serialize};

use super::walk::Source;
use crate::{
    answers::BaseAnswerCounts,
    config::Config,
    ports::{Context, Stop},
    state::StateDir,
    telemetry::BaseModelAsked,
};

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    prompt: String,
    /// `None` where there is none that ends by itself: one that is cut off would teach to break off.
    answer: Option<String>,
}

type Answers = BTreeMap<String, Option<String>>;

/// The answers that this base model gave under these settings, and how to have it asked for more.
pub(super) struct Kept<'a> {
    context: &'a Context,
    model: &'a Model,
    tokens_max: usize,
    stop: &'a Stop,
    path: PathBuf,
    answers: Answers,
}

impl<'a> Kept<'a> {
    pub(super) fn open(
        context: &'a Context,
        model: &'a Model,
        config: &Config,
        stop: &'a Stop,
    ) -> anyhow::Result<Self> {
        let path = path_of(&context.state, model, config);
        let tokens_max = config.replay.base_answers.answer_tokens_max as usize;
        Ok(Self { context, model, tokens_max, stop, answers: read(&path)?, path })
    }
}

impl Source for Kept<'_> {
    fn known(&self, prompt: &str) -> Option<Option<&str>> {
        self.answers.get(prompt).map(Option::as_deref)
    }

    fn tokens_max(&self) -> usize {
        self.tokens_max
    }

    fn ask(&mut self, prompts: &[&str]) -> anyhow::Result<bool> {
        let Some(new) = answer(self.context, self.model, prompts, self.tokens_max, self.stop)? else {
            return Ok(false);
        };
        self.answers.extend(new);
        write(&self.path, &self.answers)?;
        failpoint::hit("base_answers.kept")?;
        let asked = prompts.len() as u64;
        self.context.telemetry.emit(BaseModelAsked { asked, standing: standing_of(&self.answers) });
        Ok(true)
    }
}

/// How many prompts were answered by the base model that was asked last; `None` where none was.
///
/// # Errors
/// Where the system refuses.
pub(crate) fn standing(state: &StateDir) -> anyhow::Result<Option<BaseAnswerCounts>> {
    let entries = match fs::read_dir(state.base_answers()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("the answers of the base model cannot be listed"),
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

fn standing_of(answers: &Answers) -> BaseAnswerCounts {
    let answered = answers.values().flatten().count() as u64;
    BaseAnswerCounts { answered, unanswered: answers.len() as u64 - answered }
}

/// Named by all that answers depend on.
fn path_of(state: &StateDir, model: &Model, config: &Config) -> PathBuf {
    let (precision, as_chat) = (model.decoder.precision().as_str(), config.ingest.prompt_as_chat);
    let settings = format!("{precision} {as_chat} {}", config.replay.base_answers.answer_tokens_max);
    let name = Fingerprinter::new().part(model.fingerprint.as_bytes()).part(settings.as_bytes()).finish();
    state.base_answers().join(format!("{}.jsonl", name.short(16)))
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
    prompts: &[&str],
    tokens_max: usize,
    stop: &Stop,
) -> anyhow::Result<Option<Answers>> {
    let mut answers: Answers = prompts.iter().map(|prompt| ((*prompt).to_owned(), None)).collect();
    let room = model.config.positions_max.saturating_sub(tokens_max);
    let encoded = |prompt: &str| {
        let asked = Prompt { content: Content::Text(prompt.to_owned()), inputs: Default::default() };
        let tokens = model.encode_prompt(&asked).ok()?;
        (1..room).contains(&tokens.len()).then(|| (prompt.to_owned(), tokens))
    };
    let (asked, tokens): (Vec<String>, Vec<Vec<u32>>) = prompts.iter().filter_map(|prompt| encoded(prompt)).unzip();
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
