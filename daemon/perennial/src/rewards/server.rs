//! Completions drawn by a server with vLLM's interface: the adapter under training is loaded there under a name of its own,
//! asked, and unloaded. (llama.cpp's server takes adapters at its start alone, so it cannot serve one under training.)

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use perennial_learn::{adapter::Adapter, model::Model, train::grpo::Completion};
use perennial_types::AdapterId;
use reqwest::blocking::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::environment::Drawn;
use crate::{config::RolloutServer, stage::GrpoStage};

/// The server, and where adapters are laid for it.
pub(crate) struct Server {
    http: Client,
    url: String,
    adapters: PathBuf,
}

/// Requests under way at the same time; a server batches them.
const REQUESTS_MAX: usize = 16;

/// What is drawn, and how.
pub(super) struct Request<'a> {
    pub(super) stage: &'a GrpoStage,
    pub(super) adapter: &'a Adapter,
    pub(super) base_name: &'a str,
    pub(super) prompts: &'a [Vec<u32>],
    pub(super) seed: u64,
    /// The model that learns from what comes.
    pub(super) learner: &'a Model,
}

impl Server {
    /// A client of the configured server; adapters go to `folder` where the configuration names none.
    ///
    /// # Errors
    /// Where the client cannot be made.
    pub(crate) fn new(config: &RolloutServer, folder: &Path) -> anyhow::Result<Self> {
        let timeout = Duration::from_secs(config.timeout_seconds);
        let http = Client::builder().timeout(timeout).no_proxy().build()?;
        let adapters = config.adapter_dir.clone().unwrap_or_else(|| folder.to_owned());
        Ok(Self { http, url: config.url.trim_end_matches('/').to_owned(), adapters })
    }

    /// A group for each prompt, in their order; `on_group` hears of each as it comes, from any thread.
    ///
    /// # Errors
    /// Where the server cannot be reached, refuses the adapter, or does not answer as asked.
    pub(super) fn draw(
        &self,
        request: &Request<'_>,
        on_group: &(dyn Fn(usize, &[Drawn]) + Sync),
    ) -> anyhow::Result<Vec<Vec<Drawn>>> {
        let name = format!("perennial-{}", AdapterId::of(&request.adapter.fingerprint()?));
        let folder = self.adapters.join(&name);
        request.adapter.save_peft(&folder, request.base_name)?;
        self.post("/v1/load_lora_adapter", &json!({ "lora_name": name, "lora_path": folder }))
            .context("the rollout server does not load the adapter: see [rollout] in config/perennial.toml")?;
        let groups = self.ask_all(request, &name, on_group);
        // Whatever came of it, the next generation brings another adapter.
        let unloaded = self.post("/v1/unload_lora_adapter", &json!({ "lora_name": name }));
        fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let groups = groups?;
        unloaded?;
        Ok(groups)
    }

    fn ask_all(
        &self,
        request: &Request<'_>,
        model: &str,
        on_group: &(dyn Fn(usize, &[Drawn]) + Sync),
    ) -> anyhow::Result<Vec<Vec<Drawn>>> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut own = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(prompt) = request.prompts.get(at) else { return Ok(own) };
                let group = self.ask(request, model, at, prompt)?;
                on_group(at, &group);
                own.push((at, group));
            }
        };
        let mut groups = thread::scope(|scope| {
            let count = request.prompts.len().min(REQUESTS_MAX);
            let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            let mut groups = Vec::new();
            for thread in threads {
                let own: anyhow::Result<Vec<_>> = thread.join().unwrap_or_else(|_| bail!("a request panicked"));
                groups.extend(own?);
            }
            anyhow::Ok(groups)
        })?;
        groups.sort_by_key(|(at, _)| *at);
        Ok(groups.into_iter().map(|(_, group)| group).collect())
    }

    fn ask(&self, request: &Request<'_>, model: &str, at: usize, prompt: &[u32]) -> anyhow::Result<Vec<Drawn>> {
        let GrpoStage { config, rollout, .. } = request.stage;
        let mut body = json!({
            "model": model,
            "prompt": prompt,
            "n": config.num_generations,
            "max_tokens": config.max_completion_length,
            "temperature": config.temperature,
            "top_p": rollout.top_p,
            "min_p": rollout.min_p,
            // The same prompt may stand there twice, and is then answered otherwise.
            "seed": request.seed.wrapping_add((at * config.num_generations) as u64) >> 1,
            "logprobs": 0,
            "return_token_ids": true,
            // The server may know of fewer: what closes a turn in the chat template need not be in its files.
            "stop_token_ids": request.learner.tokenizer.end_tokens(),
        });
        if rollout.top_k > 0 {
            body["top_k"] = json!(rollout.top_k);
        }
        if !rollout.stop.is_empty() {
            body["stop"] = json!(rollout.stop);
        }
        let answer: Answer = serde_json::from_value(self.post("/v1/completions", &body)?)
            .context("the rollout server answers in another form than vLLM's /v1/completions")?;
        let (choices, wanted) = (answer.choices.len(), config.num_generations);
        ensure!(choices == wanted, "the rollout server was asked for {wanted} completions and gave {choices}");
        answer.choices.into_iter().map(|choice| drawn(choice, request.learner.config.vocab_size)).collect()
    }

    fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let answer = self.http.post(&url).json(body).send().with_context(|| format!("no answer from {url}"))?;
        let (status, text) = (answer.status(), answer.text()?);
        if !status.is_success() {
            bail!("{url} answers {status}: {}", text.chars().take(ERROR_CHARS_MAX).collect::<String>());
        }
        // Loading and unloading are answered in plain text.
        Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// How much of a server's complaint is passed on.
const ERROR_CHARS_MAX: usize = 500;

#[derive(Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    token_ids: Option<Vec<u32>>,
    logprobs: Option<Logprobs>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Logprobs {
    token_logprobs: Vec<Option<f32>>,
}

fn drawn(choice: Choice, vocabulary: usize) -> anyhow::Result<Drawn> {
    let tokens = choice.token_ids.context("the rollout server gives no token_ids: use vLLM 0.10.2 or newer")?;
    if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
        bail!(
            "the rollout server gave the token {token}, but the model has {vocabulary}: it serves another base model"
        );
    }
    let logprobs = choice.logprobs.map(|logprobs| logprobs.token_logprobs).unwrap_or_default();
    ensure!(
        logprobs.len() == tokens.len(),
        "the rollout server gave {} tokens and {} log-probabilities",
        tokens.len(),
        logprobs.len()
    );
    let logprobs = logprobs.into_iter().map(|logprob| logprob.unwrap_or(f32::NAN)).collect();
    let truncated = choice.finish_reason.as_deref() == Some("length");
    let completion = Completion { tokens, logprobs, truncated, activations: None };
    Ok(Drawn { text: choice.text, completion })
}
