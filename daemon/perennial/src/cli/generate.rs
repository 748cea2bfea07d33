use std::{io::Read, path::PathBuf};

use anyhow::{Context as _, bail};
use perennial_learn::{adapter::Adapter, generate::GenerateOptions};
use perennial_types::{AdapterId, Content, Message, Prompt, Role, TemplateInputs};
use serde_json::Value;

use super::{
    models::named,
    output,
    session::Session,
    teach::answer_rows,
    voice::{EngineKind, Voice},
};

/// `perennial generate`
#[derive(Debug, clap::Args)]
pub(super) struct Generate {
    /// What the model is asked; `-` reads it from standard input
    #[arg(long, value_name = "TEXT", required_unless_present = "jsonl")]
    prompt: Option<String>,
    /// Answer the prompt of each row of this file, and print rows that `ingest` takes; `-` reads standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "system", "tools"])]
    jsonl: Option<PathBuf>,
    /// The prompt is plain text to go on from, without the chat template, whatever `ingest.prompt_as_chat` says
    #[arg(long, conflicts_with_all = ["system", "tools"])]
    raw: bool,
    #[command(flatten)]
    speaker: Speaker,
}

/// Who speaks, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Speaker {
    /// A pulled model's name, a Hugging Face folder or a GGUF file [default: the configured model]
    model: Option<String>,
    /// Who computes what the model says
    #[arg(long, value_enum, default_value_t, value_name = "ENGINE")]
    engine: EngineKind,
    /// An adapter's id, a PEFT folder, or `champion` [default: the base model alone]
    #[arg(long, value_name = "ADAPTER")]
    adapter: Option<String>,
    /// Instructions that stand above the conversation
    #[arg(long, value_name = "TEXT")]
    pub(super) system: Option<String>,
    /// The longest answer, in tokens
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_tokens: usize,
    /// 0 takes the most likely token each time
    #[arg(long, default_value_t = 0.0, value_name = "T")]
    temperature: f32,
    /// Draw from the most likely tokens that make up this probability
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f32,
    /// Draw from this many of the most likely tokens; 0 draws from all
    #[arg(long, default_value_t = 0, value_name = "K")]
    top_k: usize,
    /// The seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Tools that the model is offered: a file with their JSON schemas in a list
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// A text that ends the answer; may be given again
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
}

impl Generate {
    /// Prints the answer as it comes.
    pub(super) fn run(self, session: &Session) -> anyhow::Result<()> {
        session.log_quietly()?;
        let prompt = match self.prompt {
            Some(prompt) if prompt == "-" => read_standard_input()?,
            prompt => prompt.unwrap_or_default(),
        };
        let mut voice = self.speaker.voice(session, session.config().ingest.prompt_as_chat && !self.raw)?;
        if let Some(file) = &self.jsonl {
            return answer_rows(&mut voice, session, file, &self.speaker.options());
        }
        // Instructions and tools are a template's alone; a string is read as the rows' are.
        let content = match self.speaker.needs_template() {
            true => Content::Messages(self.speaker.conversation(prompt)),
            false => Content::Text(prompt),
        };
        voice.answer(&self.speaker.asked(content)?, &self.speaker.options())?;
        output::line("");
        Ok(())
    }
}

fn read_standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    Ok(text)
}

impl Speaker {
    /// What the model is asked, with its tools.
    pub(super) fn asked(&self, content: Content) -> anyhow::Result<Prompt> {
        let Some(path) = &self.tools else { return Ok(content.into()) };
        let read =
            |path: &PathBuf| -> anyhow::Result<Value> { Ok(serde_json::from_str(&std::fs::read_to_string(path)?)?) };
        let tools = read(path).with_context(|| format!("--tools {}", path.display()))?;
        if !tools.as_array().is_some_and(|tools| !tools.is_empty() && tools.iter().all(Value::is_object)) {
            anyhow::bail!("--tools {}: it must hold a list of objects", path.display());
        }
        Ok(Prompt { content, inputs: TemplateInputs { tools: Some(tools), ..TemplateInputs::default() } })
    }

    fn needs_template(&self) -> bool {
        self.system.is_some() || self.tools.is_some()
    }

    /// A conversation that begins with this question.
    pub(super) fn conversation(&self, question: String) -> Vec<Message> {
        let system = self.system.iter().map(|system| Message::new(Role::System, system.clone()));
        system.chain([Message::new(Role::User, question)]).collect()
    }

    /// Loads who speaks, reading a prompt that is a string as a user's turn or as it stands.
    pub(super) fn voice(&self, session: &Session, prompt_as_chat: bool) -> anyhow::Result<Voice> {
        if let (EngineKind::Candle, Some(adapter)) = (self.engine, &self.adapter) {
            bail!("--adapter {adapter}: adapters are for `--engine native`; candle runs a model as it is");
        }
        session.limit_threads()?;
        let model = named(&session.config().model, self.model.clone());
        let mut voice = Voice::load(self.engine, &model, prompt_as_chat)?;
        if let (Voice::Native(own), Some(name)) = (&mut voice, &self.adapter) {
            own.adapter = load_adapter(session, name)?;
        }
        Ok(voice)
    }

    /// How answers are drawn.
    pub(super) fn options(&self) -> GenerateOptions {
        GenerateOptions {
            max_new_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            seed: self.seed,
            stop: self.stop.clone(),
            ..GenerateOptions::default()
        }
    }
}

/// `None` where the champion is the base model.
fn load_adapter(session: &Session, name: &str) -> anyhow::Result<Option<Adapter>> {
    let state = session.state();
    let folder = match name {
        "champion" => {
            let current = state.export().join("current");
            if !current.exists() {
                return Ok(None);
            }
            current
        }
        _ => name.parse::<AdapterId>().map_or_else(|_| PathBuf::from(name), |id| state.adapter(&id)),
    };
    let adapter = Adapter::load_peft(&folder);
    adapter.map(Some).with_context(|| format!("--adapter {name}: `perennial adapters` lists those that there are"))
}
