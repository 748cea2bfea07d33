//! vLLM's interface to adapters, as far as it is needed.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    PublishError,
    json_server::{self, JsonServer},
    probe::Tokens,
};

/// The longest answer, in bytes: a list of many models is far shorter.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A server that can be asked.
pub(super) struct Server<'a>(JsonServer<'a>);

/// A model of the server's list.
#[derive(Debug, Deserialize)]
struct Model {
    id: String,
    root: Option<String>,
    parent: Option<String>,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Model>,
}

/// An adapter that the server has.
#[derive(Debug)]
pub(super) struct Loaded {
    /// What it is asked for by.
    pub(super) name: String,
    /// The folder that it was loaded from, as the server sees it.
    pub(super) root: PathBuf,
}

impl Loaded {
    pub(super) fn is(&self, name: &str, path: &Path) -> bool {
        self.name == name && self.root == path
    }
}

impl<'a> Server<'a> {
    /// Reads the key anew, so that a new one counts at once.
    pub(super) fn open(
        runtime: &'a Handle,
        url: &str,
        key_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, PublishError> {
        let (url, key) = json_server::address(url, key_file)?;
        let answer_bytes_max = ANSWER_BYTES_MAX;
        Ok(Self(JsonServer { runtime, kind: "vLLM", url, key, timeout, answer_bytes_max }))
    }

    pub(super) fn place(&self) -> String {
        self.0.place()
    }

    /// That it does not do as vLLM does.
    pub(super) fn unlike(&self, problem: impl Into<String>) -> PublishError {
        self.0.unlike(problem)
    }

    pub(super) fn adapters(&self) -> Result<Vec<Loaded>, PublishError> {
        let of = |model: Model| Some(Loaded { name: model.id, root: model.parent.and(model.root)?.into() });
        Ok(self.models()?.into_iter().filter_map(of).collect())
    }

    /// The name of the base model: of the one that has no parent.
    pub(super) fn base(&self) -> Result<String, PublishError> {
        let base = self.models()?.into_iter().find(|model| model.parent.is_none());
        base.map(|model| model.id).ok_or_else(|| self.unlike("lists no base model"))
    }

    fn models(&self) -> Result<Vec<Model>, PublishError> {
        let models: Models = self.0.json(Method::GET, "v1/models", &Value::Null)?;
        Ok(models.data)
    }

    pub(super) fn load(&self, name: &str, path: &Path) -> Result<(), PublishError> {
        let body = json!({ "lora_name": name, "lora_path": path });
        match self.0.call(Method::POST, "v1/load_lora_adapter", &body) {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => Err(self.unlike(
                "loads no adapters while it serves: start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, where it \
                 sees the folder of the adapters",
            )),
            answered => answered.map(drop),
        }
    }

    /// Succeeds where there is no such adapter any more.
    pub(super) fn unload(&self, name: &str) -> Result<(), PublishError> {
        match self.0.call(Method::POST, "v1/unload_lora_adapter", &json!({ "lora_name": name })) {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => Ok(()),
            answered => answered.map(drop),
        }
    }

    /// Lets it forget what it has computed of prompts: it would take what an adapter of the same name computed for another's.
    pub(super) fn forget_prefixes(&self) -> Result<(), PublishError> {
        match self.0.call(Method::POST, "reset_prefix_cache", &Value::Null) {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => Err(self.unlike(
                "cannot be told to forget what it computed with the adapter before, and would answer by that under the alias: start vLLM \
                 with VLLM_SERVER_DEV_MODE=1, or leave out alias and ask for the adapter by its own name",
            )),
            answered => answered.map(drop),
        }
    }

    /// The first tokens that it would go on with after each prompt, with their log-probabilities.
    pub(super) fn next_tokens(&self, model: &str, prompts: &[&str]) -> Result<Vec<Tokens>, PublishError> {
        #[derive(Deserialize)]
        struct Answer {
            choices: Vec<Choice>,
        }
        #[derive(Deserialize)]
        struct Choice {
            logprobs: Option<Logprobs>,
        }
        #[derive(Deserialize)]
        struct Logprobs {
            top_logprobs: Vec<serde_json::Map<String, Value>>,
        }
        let body = json!({ "model": model, "prompt": prompts, "max_tokens": 1, "temperature": 0, "logprobs": 5 });
        let answer: Answer = self.0.json(Method::POST, "v1/completions", &body)?;
        let of = |choice: Choice| {
            let first = choice.logprobs?.top_logprobs.into_iter().next()?;
            first.into_iter().map(|(token, logprob)| Some((token, logprob.as_f64()?))).collect()
        };
        let tokens: Option<Vec<Tokens>> = answer.choices.into_iter().map(of).collect();
        let tokens = tokens.filter(|tokens| tokens.len() == prompts.len() && tokens.iter().all(|one| !one.is_empty()));
        tokens.ok_or_else(|| self.unlike("tells no log-probabilities of what it answers"))
    }
}
