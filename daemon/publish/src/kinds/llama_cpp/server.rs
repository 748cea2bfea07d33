//! llama-server's interface to adapters, as far as it is needed.

use std::{path::Path, time::Duration};

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{
    PublishError,
    json_server::{self, JsonServer},
    probe::Tokens,
};

/// The longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// How many of the likeliest tokens are compared.
const TOKENS: usize = 5;

/// A server that can be asked.
pub(super) struct Server<'a>(JsonServer<'a>);

/// An adapter that the server has.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Listed {
    /// What it is asked for by.
    pub(super) id: u64,
    /// As the server was told at its start.
    pub(super) path: String,
    /// What it is weighed with where a request does not say.
    pub(super) scale: f64,
}

impl Listed {
    pub(super) fn file_name(&self) -> Option<&str> {
        Path::new(&self.path).file_name()?.to_str()
    }

    pub(super) fn is_file(&self, name: &str) -> bool {
        self.file_name() == Some(name)
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
        Ok(Self(JsonServer { runtime, kind: "llama-server", url, key, timeout, answer_bytes_max }))
    }

    pub(super) fn place(&self) -> String {
        self.0.place()
    }

    /// That it does not do as llama.cpp does.
    pub(super) fn unlike(&self, problem: impl Into<String>) -> PublishError {
        self.0.unlike(problem)
    }

    /// Whether it answers, with its model in memory.
    pub(super) fn is_ready(&self) -> bool {
        self.0.call(Method::GET, "health", &Value::Null).is_ok()
    }

    pub(super) fn adapters(&self) -> Result<Vec<Listed>, PublishError> {
        match self.0.json(Method::GET, "lora-adapters", &Value::Null) {
            Err(error) if error.is_status(StatusCode::NOT_FOUND) => {
                Err(self.unlike("knows no /lora-adapters: is it llama-server?"))
            }
            answered => answered,
        }
    }

    /// Lets one adapter count whole, or none, and the others not at all.
    pub(super) fn weigh(&self, all: &[Listed], only: Option<u64>) -> Result<(), PublishError> {
        if all.is_empty() {
            return Ok(());
        }
        self.0.call(Method::POST, "lora-adapters", &weights(all, only)).map(drop)
    }

    /// The likeliest tokens that it would go on with, with their log-probabilities, each adapter but one weighing nothing.
    pub(super) fn next_tokens(&self, prompt: &str, all: &[Listed], only: Option<u64>) -> Result<Tokens, PublishError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            completion_probabilities: Vec<Place>,
        }
        #[derive(Deserialize)]
        struct Place {
            #[serde(default)]
            top_logprobs: Vec<Token>,
        }
        #[derive(Deserialize)]
        struct Token {
            id: i64,
            logprob: f64,
        }
        let body = json!({
            "prompt": prompt, "n_predict": 1, "temperature": 0, "n_probs": TOKENS, "cache_prompt": false,
            "lora": weights(all, only),
        });
        let answer: Answer = self.0.json(Method::POST, "completion", &body)?;
        let first = answer.completion_probabilities.into_iter().next().map(|place| place.top_logprobs);
        let tokens = first.filter(|tokens| !tokens.is_empty());
        let tokens = tokens.ok_or_else(|| self.unlike("tells no log-probabilities of what it answers"))?;
        Ok(tokens.into_iter().map(|token| (token.id.to_string(), token.logprob)).collect())
    }
}

/// The weights of all adapters: whatever is not named keeps its own in some versions, and has none in others.
fn weights(all: &[Listed], only: Option<u64>) -> Value {
    let weight = |listed: &Listed| if Some(listed.id) == only { 1.0 } else { 0.0 };
    all.iter().map(|listed| json!({ "id": listed.id, "scale": weight(listed) })).collect()
}
